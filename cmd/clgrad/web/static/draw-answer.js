// Shows what the server says of a row or picture.

import { drawImage, drawNumbers } from './draw-pixels.js';
import { Reasons } from './draw-reasons.js';
import { fill, make, makeBar, percent, scale, short, signed } from './draw-rows.js';

const few = 12; // classes that all have a bar, in their order
const most = 10; // bars where there are more: of the most probable
const calm = 700; // milliseconds without a new prediction until it is spoken

const get = (id) => document.getElementById(id);

// A View shows answers about a model.
export class View {
  #names;         // of the classes
  #columns;       // of a row's features, undefined where it is an image
  #answer = null;
  #pointed = -1;  // the class below the mouse, or that has the focus
  #chosen = -1;   // the class that was clicked
  #changed;
  #speaking = 0;
  #byColumns = new Reasons(get('columns-why'));
  #byUnits = new Reasons(get('units-why'));

  // names and columns are those of the model. changed is called where an answer about another
  // class is wanted.
  constructor(names, columns, changed) {
    [this.#names, this.#columns, this.#changed] = [names, columns, changed];
    get('classes').classList.toggle('words', names.some((n) => n.length > 3));
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { if (this.#answer) this.show(this.#answer); });
  }

  // wanted returns the class whose reasons are wanted, −1 for the predicted one.
  get wanted() { return this.#pointed >= 0 ? this.#pointed : this.#chosen; }

  // clear shows that there is no answer, and says so.
  clear(text) {
    this.#answer = null;
    this.#chosen = this.#pointed = -1;
    get('prediction').textContent = text;
    const n = this.#names.length > few ? most : this.#names.length;
    this.#showClasses(this.#names.slice(0, n).map((_, k) => ({ k, p: 0 })), -1);
    get('seen').hidden = true;
    this.#byColumns.clear();
    this.#byUnits.clear();
    get('left').textContent = '';
    this.say('');
  }

  // show shows an answer.
  show(answer) {
    this.#answer = answer;
    const best = answer.predicted, all = answer.probabilities;
    const prediction = answer.image?.blank ? 'Nothing is seen on it' : `${this.#names[best]}, ${percent(all[best])}`;
    get('prediction').textContent = prediction;
    let classes = all.map((p, k) => ({ k, p }));
    if (classes.length > few) classes = classes.sort((a, b) => b.p - a.p || a.k - b.k).slice(0, most);
    this.#showClasses(classes, best);
    const left = all.length - classes.length;
    get('left').textContent = left > 0 ? `${left} other classes have ${percent(1 - classes.reduce((sum, c) => sum + c.p, 0))} together.` : '';
    this.#showImage(answer);
    this.#showReasons(answer);
    clearTimeout(this.#speaking);
    this.#speaking = setTimeout(() => this.#speak(prediction), calm);
  }

  // say has a screen reader speak, and nothing else for now.
  say(text) {
    clearTimeout(this.#speaking);
    this.#speak(text);
  }

  #speak(text) { get('spoken').textContent = text; }

  #showClasses(classes, best) {
    const rows = fill(get('classes'), classes.length, () => this.#makeClass());
    rows.forEach((row, i) => {
      const { k, p } = classes[i], button = row.firstElementChild;
      const [name, track, value] = button.children;
      button.dataset.class = k;
      button.disabled = best < 0;
      button.setAttribute('aria-pressed', String(k === this.#chosen));
      row.classList.toggle('best', k === best);
      name.textContent = name.title = this.#names[k];
      value.textContent = best < 0 ? '' : percent(p);
      scale(track.firstElementChild, p);
    });
  }

  #makeClass() {
    const button = make('button', '', make('li', '', get('classes')));
    button.type = 'button';
    make('span', 'name', button);
    makeBar(button);
    make('span', 'value', button);
    const point = (on) => {
      this.#pointed = on ? Number(button.dataset.class) : -1;
      this.#changed();
    };
    button.addEventListener('pointerenter', (e) => { if (e.pointerType === 'mouse') point(true); });
    button.addEventListener('pointerleave', (e) => { if (e.pointerType === 'mouse') point(false); });
    button.addEventListener('focus', () => { if (button.matches(':focus-visible')) point(true); });
    button.addEventListener('blur', () => point(false));
    button.addEventListener('click', () => {
      const k = Number(button.dataset.class);
      this.#chosen = this.#chosen === k ? -1 : k;
      this.#changed();
    });
  }

  #showImage(answer) {
    get('seen').hidden = !answer.image;
    if (!answer.image) return;
    const { image } = answer, name = short(this.#names[answer.class]);
    drawImage(get('image'), image);
    get('image').setAttribute('aria-label', `what the network sees: ${image.height} by ${image.width} pixels`);
    get('caption').textContent = `What the network sees: ${image.height}×${image.width}${image.inverted ? ', light and dark exchanged' : ''}`;
    drawNumbers(get('pixels'), answer.pixels);
    get('pixels').setAttribute('aria-label', `pixels for and against ${name}`);
    get('pixels-caption').textContent = `Pixels for ${name} (orange) and against it (blue)`;
  }

  #showReasons(answer) {
    const name = this.#names[answer.class], { units, inputs } = answer;
    const add = (what) => `A bar is what ${what} adds to the logit of ${short(name)} (its score before softmax).`;
    const other = ' Choose a class above to see its reasons.';
    if (inputs) {
      this.#byColumns.show(name, 'Columns', inputs.map((i) => ({ name: this.#columns[i.input].name, contribution: i.contribution })), add('a column') + other, '');
    }
    if (!units) return;
    const parts = units.map((u) => ({
      name: `unit ${u.unit}`, contribution: u.contribution, picture: u.weights,
      title: `activation ${u.activation.toPrecision(3)} × weight ${u.weight.toPrecision(3)}`,
    }));
    const looks = units.some((u) => u.weights) ? ' Its picture is what it looks for: light excites it where the picture is orange, and inhibits it where it is blue.' : '';
    const shown = units.reduce((sum, u) => sum + u.contribution, 0);
    this.#byUnits.show(name, 'Hidden units', parts, add('a unit') + looks + (inputs ? '' : other),
      `Logit of ${short(name)}: these units ${signed(shown)}, all others ${signed(answer.others)}, bias ${signed(answer.bias)}; together ${signed(answer.logits[answer.class])}.`);
  }
}
