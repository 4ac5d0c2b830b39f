// A chart of curves over iterations that grow: SVG, with a cursor for mouse, touch and keyboard.

const svgNamespace = "http://www.w3.org/2000/svg";
const leastLogarithmic = 1e-200; // the least value of a logarithmic axis: ratios and margins stay finite
const margin = { top: 8, right: 12, bottom: 36, left: 58 };

function element(name, attributes, parent) {
  const e = document.createElementNS(svgNamespace, name);
  for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
  parent.append(e);
  return e;
}

// linearTicks returns about n round numbers from low to high.
function linearTicks(low, high, n) {
  const raw = (high - low) / n;
  const decade = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((s) => s * decade).find((s) => s >= raw);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) ticks.push(Number((i * step).toPrecision(12)));
  return ticks;
}

// logTicks returns up to about n round numbers from low to high for a logarithmic axis.
function logTicks(low, high, n) {
  const first = Math.floor(Math.log10(low)), last = Math.ceil(Math.log10(high));
  for (const digits of [[1, 2, 5], [1, 3], [1]]) {
    const ticks = [];
    for (let e = first; e <= last; e++) for (const d of digits) ticks.push(Number((d * 10 ** e).toPrecision(3)));
    const within = ticks.filter((t) => t >= low && t <= high);
    if (within.length < 3 && digits.length === 3) return linearTicks(low, high, n);
    if (within.length <= n) return within;
  }
  const every = Math.ceil((last - first + 1) / n), ticks = [];
  for (let e = Math.ceil(first / every) * every; e <= last; e += every) ticks.push(10 ** e);
  return ticks.filter((t) => t >= low && t <= high);
}

// nearest returns the point whose iteration is closest.
function nearest(points, iteration) {
  let low = 0, high = points.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle][0] < iteration) low = middle + 1;
    else high = middle;
  }
  if (low > 0 && iteration - points[low - 1][0] < points[low][0] - iteration) low--;
  return points[low];
}

export class Chart {
  // value is the index of the value in a point, log says that its axis is logarithmic where it can be, format
  // writes a value, and tick one of the axis.
  constructor(figure, readout, { value, log = false, most = Infinity, format, tick = format }) {
    Object.assign(this, { figure, readout, value, log, most, format, tick });
    this.curves = []; // { name, kind, faint, points }
    this.batches = 0; // iterations of an epoch, 0 where the axis has iterations
    this.cursor = null; // an iteration
    this.svg = element("svg", { role: "presentation" }, figure);
    new ResizeObserver(() => this.draw()).observe(figure);
    figure.addEventListener("pointermove", (e) => this.point(e));
    figure.addEventListener("pointerdown", (e) => this.point(e));
    figure.addEventListener("pointerleave", () => this.moveTo(null));
    figure.addEventListener("blur", () => this.moveTo(null));
    figure.addEventListener("keydown", (e) => this.key(e));
  }

  // show has the chart show curves, soon.
  show(curves, batches) {
    this.curves = curves.map((c) => ({ ...c, points: c.points.filter((p) => p[this.value] !== null) }))
      .filter((c) => c.points.length > 0);
    this.batches = batches;
    if (!this.waiting) {
      this.waiting = true;
      requestAnimationFrame(() => {
        this.waiting = false;
        this.draw();
      });
    }
  }

  at(iteration) {
    const n = iteration.toLocaleString("en");
    return this.batches ? `epoch ${(iteration / this.batches).toFixed(2)}, iteration ${n}` : `iteration ${n}`;
  }

  point(event) {
    const box = this.svg.getBoundingClientRect();
    if (this.scale) this.moveTo(this.scale.iteration(event.clientX - box.left));
  }

  key(event) {
    const longest = this.curves.reduce((a, c) => (c.points.length > a.length ? c.points : a), []);
    if (longest.length === 0) return;
    const last = longest.length - 1;
    let i = this.cursor === null ? last + 1 : longest.indexOf(nearest(longest, this.cursor));
    const step = event.shiftKey ? Math.max(1, Math.round(longest.length / 20)) : 1;
    switch (event.key) {
      case "ArrowLeft": i -= step; break;
      case "ArrowRight": i += step; break;
      case "Home": i = 0; break;
      case "End": i = last; break;
      case "Escape": this.moveTo(null); return;
      default: return;
    }
    event.preventDefault();
    this.moveTo(longest[Math.min(last, Math.max(0, i))][0]);
  }

  moveTo(iteration) {
    if (iteration === this.cursor) return;
    this.cursor = iteration;
    this.draw();
  }

  // range returns the lowest and the highest value, some room around them included, and whether
  // the axis is logarithmic: not where a value is 0.
  range() {
    let low = Infinity, high = -Infinity;
    for (const c of this.curves) for (const p of c.points) {
      low = Math.min(low, p[this.value]);
      high = Math.max(high, p[this.value]);
    }
    if (this.log && low >= leastLogarithmic) {
      const room = Math.max(1.02, (high / low) ** 0.04);
      return [low / room, high * room, true];
    }
    const room = Math.max(0.04 * (high - low), 0.002);
    return [this.log ? Math.max(0, low - room) : low - room, Math.min(this.most, high + room), false];
  }

  draw() {
    const { svg, figure, curves } = this;
    svg.replaceChildren();
    const width = figure.clientWidth, height = svg.clientHeight;
    if (curves.length === 0 || width < 120) {
      if (width >= 120) element("text", { x: 8, y: height / 2 }, svg).textContent = "Nothing is known yet.";
      this.readout.replaceChildren();
      return;
    }
    const right = width - margin.right, bottom = height - margin.bottom;
    const first = Math.min(...curves.map((c) => c.points[0][0])), last = Math.max(...curves.map((c) => c.points.at(-1)[0]));
    const [low, high, log] = this.range();
    const f = log ? Math.log : (v) => v;
    const span = Math.max(1, last - first);
    const x = (iteration) => margin.left + (right - margin.left) * (last > first ? (iteration - first) / span : 1);
    const y = (v) => bottom - (bottom - margin.top) * (f(v) - f(low)) / (f(high) - f(low));
    this.scale = { iteration: (px) => Math.round(Math.min(last, Math.max(first, first + span * (px - margin.left) / (right - margin.left)))) };

    for (const t of log ? logTicks(low, high, 6) : linearTicks(low, high, 6)) {
      element("line", { class: "grid", x1: margin.left, x2: right, y1: y(t), y2: y(t) }, svg);
      element("text", { x: margin.left - 6, y: y(t) + 4, "text-anchor": "end" }, svg).textContent = this.tick(t);
    }
    const unit = this.batches || 1, wide = Math.max(2, Math.floor((right - margin.left) / 60));
    if (last > first) {
      for (const t of linearTicks(first / unit, last / unit, wide)) {
        const at = x(t * unit);
        element("line", { class: "grid", x1: at, x2: at, y1: bottom, y2: bottom + 4 }, svg);
        element("text", { x: Math.min(at, right - 6), y: bottom + 16, "text-anchor": "middle" }, svg).textContent = t.toLocaleString("en");
      }
    }
    element("text", { x: (margin.left + right) / 2, y: height - 3, "text-anchor": "middle" }, svg).textContent = this.batches ? "epoch" : "iteration";

    for (const c of curves) {
      let d = "";
      for (const p of c.points) d += `${d ? "L" : "M"}${x(p[0]).toFixed(1)} ${y(p[this.value]).toFixed(1)}`;
      element("path", { class: `curve ${c.kind}${c.faint ? " faint" : ""}`, d }, svg);
    }
    if (this.cursor !== null) element("line", { class: "cursor", x1: x(this.cursor), x2: x(this.cursor), y1: margin.top, y2: bottom }, svg);
    const words = [];
    const iteration = this.cursor ?? last;
    const head = document.createElement("span");
    head.className = "at";
    head.textContent = this.at(iteration);
    words.push(head);
    for (const c of curves) {
      const p = nearest(c.points, iteration);
      if (!c.faint) element("circle", { class: `dot ${c.kind}`, cx: x(p[0]), cy: y(p[this.value]), r: 4 }, svg);
      const word = document.createElement("span");
      word.className = c.faint ? `${c.kind} faint` : c.kind;
      word.textContent = `${c.name} ${this.format(p[this.value])}`;
      words.push(word);
    }
    this.readout.replaceChildren(...words);
    this.readout.toggleAttribute("aria-live", false);
    if (document.activeElement === this.figure) this.readout.setAttribute("aria-live", this.cursor === null ? "off" : "polite");
  }
}
