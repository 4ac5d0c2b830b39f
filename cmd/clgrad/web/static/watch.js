// Shows a run while it goes on: a snapshot of its state comes first, then what changes.

import { Chart } from "./chart.js";

const $ = (id) => document.getElementById(id);
const percent = (v) => (v === null || v === undefined ? "–" : `${(100 * v).toFixed(2)} %`);
const loss = (v) => (v === null || v === undefined ? "–" : v === 0 || v >= 0.01 && v < 1e4 ? v.toFixed(4) : v >= 1e-4 && v < 0.01 ? v.toPrecision(3) : v.toExponential(2));
const whole = (n) => Math.round(n).toLocaleString("en");
const digits = (v) => (v >= 100 ? whole(v) : v.toPrecision(3));

const phases = {
  starting: ["getting ready", "Data and device are made ready."],
  training: ["training", ""],
  scoring: ["scoring", "The iterations have ended. The final parameters are scored."],
  finished: ["finished", "The run has ended well."],
  interrupted: ["interrupted", "The run has ended before its last iteration: "],
  failed: ["failed", "The run has ended with an error: "],
};

const lossChart = new Chart($("loss"), $("loss-readout"), {
  value: 1, log: true, format: loss, tick: (v) => (v === 0 || v >= 1e-3 && v < 1e5 ? String(Number(v.toPrecision(6))) : v.toExponential(0)),
});
const accuracyChart = new Chart($("accuracy"), $("accuracy-readout"), {
  value: 2, most: 1, format: percent, tick: (v) => `${Number((100 * v).toFixed(2))} %`,
});

let state = null;

const ended = () => state !== null && ["finished", "interrupted", "failed"].includes(state.phase);

// duration writes seconds for people.
function duration(s) {
  if (s < 10) return `${s.toFixed(1)} s`;
  s = Math.round(s);
  if (s < 60) return `${s} s`;
  const two = (n) => String(n).padStart(2, "0");
  if (s < 3600) return `${Math.floor(s / 60)} min ${two(s % 60)} s`;
  return `${Math.floor(s / 3600)} h ${two(Math.floor(s / 60) % 60)} min`;
}

function bytes(n) {
  return n < 1e9 ? `${whole(n / 1e6)} MB` : `${(n / 1e9).toFixed(2)} GB`;
}

function className(k) {
  return state.setup.classes ? state.setup.classes[k] : String(k);
}

// at says when an iteration was.
function at(iteration) {
  const { by_epoch, batches } = state.setup;
  return by_epoch && iteration % batches === 0 ? `epoch ${whole(iteration / batches)}` : `iteration ${whole(iteration)}`;
}

function make(name, text = "", classes = "") {
  const e = document.createElement(name);
  e.textContent = text;
  if (classes) e.className = classes;
  return e;
}

// setText changes a text only where it is another: selections stay.
function setText(e, text) {
  if (e.textContent !== text) e.textContent = text;
}

// fill shows [name, value, more] in a list of figures, or [name, value] in a table.
function fill(parent, entries) {
  const table = parent.tagName === "TBODY";
  while (parent.children.length > entries.length) parent.lastElementChild.remove();
  while (parent.children.length < entries.length) {
    const row = make(table ? "tr" : "div");
    const head = make(table ? "th" : "dt");
    if (table) head.scope = "row";
    row.append(head, make(table ? "td" : "dd"));
    if (!table) row.append(make("dd", "", "more"));
    parent.append(row);
  }
  entries.forEach(([name, value, more = ""], i) => {
    const [head, cell, below] = parent.children[i].children;
    setText(head, name);
    setText(cell, value);
    if (below) setText(below, more);
  });
}

function showPhase() {
  const [name, text] = phases[state.phase];
  const message = text + (state.message ?? "");
  if ($("phase").dataset.phase !== state.phase) {
    $("announcement").textContent = `${name}. ${message}`;
  }
  $("phase").dataset.phase = state.phase;
  setText($("phase"), name);
  setText($("message"), message);
}

function showProgress() {
  const { setup, progress: p } = state;
  if (!setup || !p) return;
  const done = p.iteration / setup.iterations;
  $("bar").value = done;
  const words = [`iteration ${whole(p.iteration)} of ${whole(setup.iterations)}`];
  if (setup.by_epoch) {
    words.unshift(`epoch ${Math.min(Math.floor(p.iteration / setup.batches) + 1, Math.ceil(setup.iterations / setup.batches))} of ${Number((setup.iterations / setup.batches).toFixed(2))}`);
  }
  words.push(`${duration(p.seconds)} of training`);
  setText($("position"), words.join(" · "));
  const figures = [["training", percent(p.accuracy), `loss ${loss(p.loss)}`]];
  if (p.validation_loss !== undefined) figures.push(["validation", percent(p.validation_accuracy), `loss ${loss(p.validation_loss)}`]);
  if (p.test_loss !== undefined) figures.push(["test", percent(p.test_accuracy), `loss ${loss(p.test_loss)}`]);
  if (state.best) {
    const b = state.best;
    figures.push([`best on the ${b.of}`, `${percent(b.accuracy.value)}`, `${at(b.accuracy.iteration)}; lowest loss ${loss(b.loss.value)}, ${at(b.loss.iteration)}`]);
  }
  if (p.rate) figures.push(["rate", p.rate < 1 ? `${duration(1 / p.rate)} an iteration` : `${digits(p.rate)} iterations/s`, setup.batches > 1 ? `${duration(setup.batches / p.rate)} an epoch` : ""]);
  if (p.left !== null) figures.push(["time left", duration(p.left), setup.early_stopping ? "at most" : ""]);
  fill($("figures"), figures);
  document.title = `${ended() ? phases[state.phase][0] : `${Math.floor(100 * done)} %`} · ${setup.title} – clgrad`;
}

function showUse() {
  const u = state.use;
  if (!u) return;
  const rows = [];
  if (u.share !== null) rows.push(["time in iterations", `${(100 * u.share).toFixed(0)} %, the rest is scoring, predictions and files`]);
  if (u.rows !== null) rows.push(["rows", `${whole(u.rows)} a second`]);
  if (u.gflops !== undefined) rows.push(["arithmetic", `${digits(u.gflops)} GFLOP/s, counted as dense products`]);
  if (u.cpus !== undefined) rows.push(["processors", `${u.cpus.toFixed(2)} of ${u.cores} busy with the run`]);
  if (u.memory) rows.push(["memory", `${bytes(u.memory)} of the process`]);
  fill($("use"), rows);
}

function showCurves() {
  const { setup, curves } = state;
  if (!setup) return;
  const epochs = setup.batches > 1 && curves.epochs.points.length > 0;
  const all = [{ name: epochs ? "batches" : "training", kind: "training", faint: epochs, points: curves.iterations.points }];
  if (epochs) all.push({ name: "training", kind: "training", points: curves.epochs.points });
  all.push({ name: "validation", kind: "validation", points: curves.validation.points }, { name: "test", kind: "test", points: curves.test.points });
  const batches = setup.by_epoch ? setup.batches : 0;
  lossChart.show(all, batches);
  accuracyChart.show(all, batches);
}

function showSetup() {
  const { setup } = state;
  $("command-section").hidden = false;
  setText($("command"), state.command);
  if (!setup) return;
  setText($("title"), setup.title);
  fill($("settings"), setup.settings.map((s) => [s.name, s.value]));
  $("samples").replaceChildren(...setup.samples.map((s) => {
    const item = make("li");
    if (s.picture) {
      const image = make("img");
      image.src = `${s.picture}?run=${state.run}`;
      image.alt = `row ${s.row}`;
      item.append(image);
    } else {
      const values = make("div", "", "values");
      for (const v of s.values) {
        const line = make("div");
        line.title = v.name;
        line.append(make("span", v.name), make("span", v.value));
        values.append(line);
      }
      if (s.more) values.append(make("div", `and ${s.more} more`));
      item.append(values);
    }
    item.append(make("div", s.class === null ? `row ${s.row}` : `actual ${className(s.class)}`, "actual"), make("div", "", "guesses"));
    return item;
  }));
}

function showPredictions() {
  const { setup, predictions } = state;
  $("predictions").hidden = !predictions;
  if (!setup || !predictions) return;
  let right = 0;
  predictions.rows.forEach((guesses, i) => {
    const item = $("samples").children[i], actual = setup.samples[i].class;
    const isRight = guesses[0].class === actual;
    right += isRight;
    if (actual !== null) {
      item.className = isRight ? "right" : "missed";
      setText(item.querySelector(".actual"), `${isRight ? "right" : "wrong"}, actual ${className(actual)}`);
    }
    item.querySelector(".guesses").replaceChildren(...guesses.map((g) => {
      const guess = make("div", "", "guess"), share = make("div", "", "share"), bar = make("i");
      bar.style.width = `${100 * (g.probability ?? 0)}%`;
      share.append(bar);
      const name = make("span", className(g.class));
      name.title = className(g.class);
      guess.append(name, make("span", g.probability === null ? "–" : `${(100 * g.probability).toFixed(1)} %`), share);
      return guess;
    }));
  });
  const known = setup.samples.some((s) => s.class !== null);
  setText($("predicted"), `${setup.samples.length} rows of the ${setup.samples_of} after ${at(predictions.iteration)}${known ? `, ${right} of them right` : ""}. The three most probable classes of each.`);
}

function showReport() {
  const file = state.setup?.report;
  const p = $("report");
  p.hidden = !file || !state.report_ready;
  if (p.hidden) return;
  if (ended()) {
    p.replaceChildren("The report is in ", make("code", file), ".");
    return;
  }
  const link = make("a", "The report");
  link.href = "/report";
  p.replaceChildren(link, " is also in ", make("code", file), ".");
}

function showNotes() {
  const lines = state.notes ?? [];
  $("notes").hidden = lines.length === 0;
  const list = $("lines");
  const atEnd = list.scrollTop + list.clientHeight >= list.scrollHeight - 4;
  list.replaceChildren(...lines.map((l) => make("li", l)));
  if (atEnd) list.scrollTop = list.scrollHeight;
}

function showResults() {
  const results = state.results ?? [];
  $("scores").hidden = results.length === 0;
  fill($("scores").querySelector("dl"), results.map((r) => [r.name, ...r.value.split(", ")]));
}

function showAll() {
  showPhase();
  showSetup();
  showProgress();
  showUse();
  showCurves();
  showPredictions();
  showNotes();
  showResults();
  showReport();
}

// apply takes over what has changed.
function apply(change) {
  for (const key of ["phase", "setup", "progress", "best", "use", "predictions", "notes", "results", "report_ready"]) {
    if (change[key] !== undefined) state[key] = change[key];
  }
  if (change.phase) state.message = change.message;
  for (const [name, { at, points }] of Object.entries(change.curves ?? {})) {
    state.curves[name].points.splice(at, Infinity, ...points);
  }
  if (change.setup) showSetup();
  if (change.phase) showPhase();
  showProgress();
  showUse();
  if (change.curves) showCurves();
  if (change.predictions) showPredictions();
  if (change.notes) showNotes();
  if (change.results) showResults();
  showReport();
}

function connect() {
  const source = new EventSource("/v1/run/events");
  const take = (f) => (event) => {
    $("lost").hidden = true;
    f(JSON.parse(event.data));
    if (ended()) source.close();
  };
  source.addEventListener("snapshot", take((s) => {
    state = s;
    showAll();
  }));
  source.addEventListener("change", take(apply));
  source.addEventListener("error", () => {
    if (ended()) return;
    $("lost").hidden = false;
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, 5000); // the browser itself has given up
  });
}

connect();
