// Shows what the server says of a row or picture.

const few = 12; // classes that all have a bar, in their order
const most = 10; // bars where there are more: of the most probable

const get = (id) => document.getElementById(id);
const percent = (p) => `${(100 * p).toFixed(1)} %`;
const signed = (v) => `${v < 0 ? '−' : '+'}${Math.abs(v).toFixed(Math.abs(v) < 99.95 ? 2 : 1)}`;
const bytes = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

function make(tag, className, parent) {
  const element = document.createElement(tag);
  element.className = className;
  parent.append(element);
  return element;
}

// fill gives a list n elements, made by create, and leaves those that are there.
function fill(list, n, create) {
  while (list.children.length > n) list.lastElementChild.remove();
  while (list.children.length < n) create();
  return [...list.children];
}

// scale sets the length of a bar.
function scale(bar, share) { bar.style.transform = `scaleX(${Math.max(0, Math.min(1, share))})`; }

// Grey or coloured pixels.
function drawImage(canvas, image) {
  [canvas.width, canvas.height] = [image.width, image.height];
  const context = canvas.getContext('2d'), data = context.createImageData(image.width, image.height);
  const values = bytes(image.pixels), channels = image.channels;
  for (let i = 0; i < image.width * image.height; i++) {
    for (let c = 0; c < 3; c++) data.data[4 * i + c] = values[i * channels + (channels === 3 ? c : 0)];
    data.data[4 * i + 3] = 255;
  }
  context.putImageData(data, 0, 0);
}

// Numbers of both signs: orange is positive, blue negative, the stronger the larger.
function drawNumbers(canvas, picture) {
  [canvas.width, canvas.height] = [picture.width, picture.height];
  const context = canvas.getContext('2d'), data = context.createImageData(picture.width, picture.height);
  const style = getComputedStyle(canvas);
  const colour = (name) => style.getPropertyValue(name).split(',').map(Number);
  const [positive, negative] = [colour('--other'), colour('--same')];
  bytes(picture.pixels).forEach((byte, i) => {
    const v = (byte - 128) / 127;
    data.data.set(v < 0 ? negative : positive, 4 * i);
    data.data[4 * i + 3] = Math.round(255 * Math.abs(v));
  });
  context.putImageData(data, 0, 0);
}

// A View shows answers about a model.
export class View {
  #names;      // of the classes
  #columns;    // of a row's features, null where it is an image
  #answer = null;
  #pointed = -1;  // the class below the mouse, or that has the focus
  #pinned = -1;   // the class that was chosen
  #wanted;
  #speaking = 0;

  // names and columns are those of the model. wanted is called where another class is asked for.
  constructor(names, columns, wanted) {
    [this.#names, this.#columns, this.#wanted] = [names, columns, wanted];
    get('classes').classList.toggle('words', names.some((n) => n.length > 3));
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { if (this.#answer) this.show(this.#answer); });
    this.clear();
  }

  // wanted returns the class whose reasons are asked for, −1 for the predicted one.
  get wanted() { return this.#pointed >= 0 ? this.#pointed : this.#pinned; }

  // clear shows that there is no answer.
  clear() {
    this.#answer = null;
    this.#pinned = this.#pointed = -1;
    get('prediction').textContent = 'No prediction yet';
    this.#classes(this.#names.slice(0, this.#shown()).map((_, k) => ({ k, p: 0 })), -1);
    get('seen').hidden = get('why').hidden = true;
    get('left').textContent = '';
    this.say('');
  }

  // show shows an answer.
  show(answer) {
    this.#answer = answer;
    const best = answer.predicted, name = this.#names[best], p = answer.probabilities;
    get('prediction').textContent = answer.image?.blank ? 'Nothing is seen on it' : `${name}, ${percent(p[best])}`;
    let classes = p.map((p, k) => ({ k, p }));
    if (classes.length > few) classes = classes.sort((a, b) => b.p - a.p || a.k - b.k).slice(0, most);
    this.#classes(classes, best);
    const left = p.length - classes.length;
    get('left').textContent = left > 0 ? `${left} other classes have ${percent(1 - classes.reduce((sum, c) => sum + c.p, 0))} together.` : '';
    this.#image(answer);
    this.#why(answer);
    this.#speak(`${name}, ${percent(p[best])}`);
  }

  // say has a screen reader speak.
  say(text) { get('spoken').textContent = text; }

  // speak says a prediction once it has come to rest.
  #speak(text) {
    clearTimeout(this.#speaking);
    this.#speaking = setTimeout(() => this.say(text), 700);
  }

  #shown() { return this.#names.length > few ? most : this.#names.length; }

  #classes(classes, best) {
    const rows = fill(get('classes'), classes.length, () => this.#row());
    rows.forEach((row, i) => {
      const { k, p } = classes[i], button = row.firstElementChild;
      const [name, track, value] = button.children;
      button.dataset.class = k;
      button.disabled = best < 0;
      button.setAttribute('aria-pressed', String(k === this.#pinned));
      row.classList.toggle('best', k === best);
      name.textContent = name.title = this.#names[k];
      value.textContent = best < 0 ? '' : percent(p);
      scale(track.firstElementChild, p);
    });
  }

  #row() {
    const button = make('button', '', make('li', '', get('classes')));
    button.type = 'button';
    make('span', 'name', button);
    make('i', '', make('span', 'track', button));
    make('span', 'value', button);
    const point = (on) => {
      this.#pointed = on ? Number(button.dataset.class) : -1;
      this.#wanted();
    };
    button.addEventListener('pointerenter', (e) => { if (e.pointerType === 'mouse') point(true); });
    button.addEventListener('pointerleave', (e) => { if (e.pointerType === 'mouse') point(false); });
    button.addEventListener('focus', () => { if (button.matches(':focus-visible')) point(true); });
    button.addEventListener('blur', () => point(false));
    button.addEventListener('click', () => {
      const k = Number(button.dataset.class);
      this.#pinned = this.#pinned === k ? -1 : k;
      this.#wanted();
    });
  }

  #image(answer) {
    get('seen').hidden = !answer.image;
    if (!answer.image) return;
    const { image } = answer, name = this.#names[answer.class];
    drawImage(get('image'), image);
    get('image').setAttribute('aria-label', `what the network sees: ${image.width} by ${image.height} pixels`);
    get('caption').textContent = `What the network sees: ${image.height}×${image.width}${image.inverted ? ', light and dark exchanged' : ''}`;
    drawNumbers(get('pixels'), answer.pixels);
    get('pixels').setAttribute('aria-label', `pixels for and against ${name}`);
    get('pixels-caption').textContent = `Pixels for ${name} (orange) and against it (blue)`;
  }

  // why shows which units, or which columns, speak for and against a class.
  #why(answer) {
    const name = this.#names[answer.class], units = answer.units ?? [], inputs = answer.inputs ?? [];
    get('why').hidden = units.length + inputs.length === 0;
    get('why-title').textContent = units.length ? `Hidden units for and against ${name}` : `Columns for and against ${name}`;
    const ofImages = units.some((u) => u.weights);
    get('why-text').textContent = units.length
      ? `A bar is what a unit adds to the score of ${name}, before softmax.${ofImages ? ' A picture is what the unit looks for: orange excites it, blue inhibits it.' : ''}`
      : `A bar is what a column adds to the score of ${name}, before softmax.`;
    get('why-text').textContent += ' Choose a class above to see what speaks for it.';
    get('for-title').textContent = `For ${name}`;
    get('against-title').textContent = `Against ${name}`;
    const parts = units.length
      ? units.map((u) => ({ name: `unit ${u.unit}`, v: u.contribution, picture: u.weights, title: `activation ${u.activation.toFixed(2)} × weight ${u.weight.toFixed(2)}` }))
      : inputs.map((i) => ({ name: this.#columns[i.input].name, v: i.contribution }));
    const largest = Math.max(...parts.map((p) => Math.abs(p.v)));
    this.#parts(get('for'), parts.filter((p) => p.v > 0), largest);
    this.#parts(get('against'), parts.filter((p) => p.v < 0).reverse(), largest);
    const shown = units.reduce((sum, u) => sum + u.contribution, 0);
    get('sum').textContent = units.length
      ? `Score of ${name}: these units ${signed(shown)}, all others ${signed(answer.others)}, bias ${signed(answer.bias)}; together ${signed(answer.logits[answer.class])}.` : '';
  }

  #parts(list, parts, largest) {
    const rows = fill(list, parts.length, () => {
      const row = make('li', '', list);
      make('canvas', '', row).setAttribute('aria-hidden', 'true');
      make('span', 'name', row);
      make('i', '', make('span', 'track', row));
      make('span', 'value', row);
    });
    rows.forEach((row, i) => {
      const [canvas, name, track, value] = row.children, part = parts[i];
      canvas.hidden = !part.picture;
      if (part.picture) drawNumbers(canvas, part.picture);
      name.textContent = part.name;
      row.title = part.title ?? '';
      value.textContent = signed(part.v);
      scale(track.firstElementChild, Math.abs(part.v) / largest);
    });
  }
}
