// Shows which parts of a network, or which columns, speak for and against a class.

import { drawNumbers } from './draw-pixels.js';
import { fill, least, make, makeBar, scale, short, signed } from './draw-rows.js';

// Reasons fill a section.
export class Reasons {
  #section;

  constructor(section) {
    this.#section = section;
    section.append(document.getElementById('why').content.cloneNode(true));
  }

  clear() { this.#section.hidden = true; }

  // show shows what parts add to the logit of the class of that name: parts have a name, a
  // contribution, and maybe a picture and a title. what is what they are called, meaning says
  // more of them, and sum what they come to.
  show(className, what, parts, meaning, sum) {
    const section = this.#section, get = (selector) => section.querySelector(selector);
    const name = short(className);
    section.hidden = false;
    get('h2').textContent = `${what} for and against ${name}`;
    get('.sum').textContent = sum;
    const largest = Math.max(...parts.map((p) => Math.abs(p.contribution)));
    const sides = [['for', 'For', parts.filter((p) => p.contribution >= least)], ['against', 'Against', parts.filter((p) => p.contribution <= -least).reverse()]];
    const any = sides.some(([, , some]) => some.length > 0);
    get('.pair').hidden = !any;
    get('.meaning').textContent = any ? meaning : `Nothing adds to the logit of ${name} in this row. A value that scaling makes 0, such as a mean, adds nothing.`;
    for (const [side, title, some] of sides) {
      const list = get(`.${side}`);
      list.previousElementSibling.textContent = `${title} ${name}`;
      list.nextElementSibling.hidden = some.length > 0;
      list.nextElementSibling.textContent = 'None.';
      this.#fill(list, some, largest);
    }
  }

  #fill(list, parts, largest) {
    const rows = fill(list, parts.length, () => {
      const row = make('li', '', list);
      make('canvas', '', row).setAttribute('aria-hidden', 'true');
      make('span', 'name', row);
      makeBar(row);
      make('span', 'value', row);
    });
    rows.forEach((row, i) => {
      const [canvas, name, track, value] = row.children, part = parts[i];
      row.classList.toggle('plain', !part.picture);
      if (part.picture) drawNumbers(canvas, part.picture);
      name.textContent = part.name;
      row.title = part.title ?? '';
      value.textContent = signed(part.contribution);
      scale(track.firstElementChild, Math.abs(part.contribution) / largest);
    });
  }
}
