// The drawing area: strokes by mouse, finger, pen or keyboard, or a picture that was opened.

const wide = 0.08;      // of a line, as a share of the shorter side
const step = 1 / 28;    // of the pen by an arrow key, as a share of a side
const far = 4;          // steps with Shift
const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

// Paper draws on a canvas. It dispatches "change" after each change, and "pen" where the keyboard puts
// the pen down or lifts it.
export class Paper extends EventTarget {
  #canvas;
  #height;                       // of the network's images, in pixels
  #width;
  #dark;                         // the training images have dark grounds
  #items = [];                   // strokes, {points: [[x, y], …]}, and pictures, {bitmap, file}; x and y are 0 to 1
  #pointer = null;               // the id of the one that draws
  #pen = { x: 0.5, y: 0.5, down: false };
  #held = new Set();             // arrow keys
  #waiting = false;              // for the next frame

  constructor(canvas, height, width, dark) {
    super();
    this.#canvas = canvas;
    [this.#height, this.#width, this.#dark] = [height, width, dark];
    canvas.style.aspectRatio = `${width} / ${height}`;
    canvas.addEventListener('pointerdown', (e) => this.#press(e));
    canvas.addEventListener('pointermove', (e) => this.#move(e));
    for (const end of ['pointerup', 'pointercancel', 'lostpointercapture']) {
      canvas.addEventListener(end, (e) => { if (e.pointerId === this.#pointer) this.#pointer = null; });
    }
    canvas.addEventListener('keydown', (e) => this.#key(e));
    canvas.addEventListener('keyup', (e) => this.#held.delete(e.key));
    canvas.addEventListener('focus', () => this.#redraw());
    canvas.addEventListener('blur', () => { this.#held.clear(); this.#lift(); this.#redraw(); });
    canvas.addEventListener('contextmenu', (e) => { if (this.#pointer !== null) e.preventDefault(); });
    new ResizeObserver(() => this.#redraw()).observe(canvas);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#redraw());
  }

  get prompt() { return 'No prediction yet'; }

  get empty() { return this.#items.length === 0; }

  undo() {
    this.#pen.down = false;
    this.#items.pop();
    this.#changed();
  }

  clear() {
    this.#pen.down = false;
    this.#items = [];
    this.#changed();
  }

  // open shows a picture in the place of what was drawn.
  async open(file) {
    const bitmap = await createImageBitmap(file);
    this.clear();
    this.#items = [{ bitmap, file }];
    this.#changed();
  }

  // request returns a request about what there is.
  async request() {
    const body = await this.#picture();
    return { method: 'POST', body, headers: { 'Content-Type': body.type } };
  }

  // picture returns what there is: a file as it is, or strokes as a PNG picture.
  #picture() {
    const file = this.#items.at(-1)?.file;
    if (file) return Promise.resolve(file);
    const long = Math.max(this.#height, this.#width);
    const scale = Math.min(1024, Math.max(280, 4 * long)) / long;
    const canvas = document.createElement('canvas');
    canvas.width = Math.max(1, Math.round(scale * this.#width));
    canvas.height = Math.max(1, Math.round(scale * this.#height));
    const context = canvas.getContext('2d');
    context.fillStyle = this.#dark ? '#000' : '#fff';
    context.fillRect(0, 0, canvas.width, canvas.height);
    this.#paint(context, canvas, this.#dark ? '#fff' : '#000');
    return new Promise((resolve, reject) => canvas.toBlob((blob) => blob ? resolve(blob) : reject(new Error('no picture')), 'image/png'));
  }

  #changed() {
    this.#redraw();
    this.dispatchEvent(new Event('change'));
  }

  // begin starts a stroke. A picture makes way for it.
  #begin(point) {
    if (this.#items.at(-1)?.file) this.#items = [];
    this.#items.push({ points: [point] });
    this.#changed();
  }

  #extend(points) {
    this.#items.at(-1).points.push(...points);
    this.#changed();
  }

  // Pointers.

  #at(event) {
    const box = this.#canvas.getBoundingClientRect();
    const share = (v, from, size) => Math.min(1, Math.max(0, (v - from) / size));
    return [share(event.clientX, box.left, box.width), share(event.clientY, box.top, box.height)];
  }

  #press(event) {
    if (event.button !== 0 || this.#pointer !== null) return;
    this.#pointer = event.pointerId;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#pen.down = false;
    this.#begin(this.#at(event));
  }

  #move(event) {
    if (event.pointerId !== this.#pointer) return;
    const all = event.getCoalescedEvents?.() ?? [];
    this.#extend((all.length ? all : [event]).map((e) => this.#at(e)));
  }

  // The keyboard.

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const done = () => event.preventDefault();
    if (arrows[event.key]) {
      done();
      this.#held.add(event.key);
      this.#walk(event.shiftKey ? far : 1);
      return;
    }
    switch (event.key) {
      case ' ': case 'Enter':
        done();
        if (event.repeat) break;
        if (this.#pen.down) this.#lift();
        else {
          this.#pen.down = true;
          this.#begin([this.#pen.x, this.#pen.y]);
          this.dispatchEvent(new CustomEvent('pen', { detail: 'The pen is down' }));
        }
        break;
      case 'Escape': this.#lift(); break;
      case 'Backspace': done(); if (!this.empty) this.undo(); break;
      case 'Delete': done(); this.clear(); break;
    }
  }

  // walk moves the pen by the arrow keys that are held: two of them move it askew.
  #walk(steps) {
    for (const key of this.#held) {
      const [x, y] = arrows[key];
      this.#pen.x = Math.min(1, Math.max(0, this.#pen.x + x * steps * step));
      this.#pen.y = Math.min(1, Math.max(0, this.#pen.y + y * steps * step));
    }
    if (this.#pen.down) this.#extend([[this.#pen.x, this.#pen.y]]);
    else this.#redraw();
  }

  #lift() {
    if (!this.#pen.down) return;
    this.#pen.down = false;
    this.#redraw();
    this.dispatchEvent(new CustomEvent('pen', { detail: 'The pen is lifted' }));
  }

  // What is seen.

  #redraw() {
    if (this.#waiting) return;
    this.#waiting = true;
    requestAnimationFrame(() => { this.#waiting = false; this.#show(); });
  }

  #show() {
    const canvas = this.#canvas, context = canvas.getContext('2d');
    canvas.width = Math.round(canvas.clientWidth * devicePixelRatio);
    canvas.height = Math.round(canvas.clientHeight * devicePixelRatio);
    const style = getComputedStyle(canvas);
    this.#paint(context, canvas, style.getPropertyValue('--ink'));
    if (canvas.matches(':focus-visible')) {
      const { x, y, down } = this.#pen, r = wide / 2 * Math.min(canvas.width, canvas.height);
      context.beginPath();
      context.arc(x * canvas.width, y * canvas.height, r, 0, 2 * Math.PI);
      context.lineWidth = 2 * devicePixelRatio;
      context.strokeStyle = context.fillStyle = `rgb(${style.getPropertyValue('--other')})`;
      if (down) context.fill();
      else context.stroke();
    }
  }

  #paint(context, { width, height }, ink) {
    context.strokeStyle = ink;
    context.lineWidth = wide * Math.min(width, height);
    context.lineCap = context.lineJoin = 'round';
    for (const { points, bitmap } of this.#items) {
      if (bitmap) {
        const scale = Math.min(width / bitmap.width, height / bitmap.height);
        const w = scale * bitmap.width, h = scale * bitmap.height;
        context.drawImage(bitmap, (width - w) / 2, (height - h) / 2, w, h);
        continue;
      }
      context.beginPath();
      context.moveTo(points[0][0] * width, points[0][1] * height);
      for (const [x, y] of points) context.lineTo(x * width, y * height);
      context.stroke();
    }
  }
}
