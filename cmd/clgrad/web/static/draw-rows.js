// Rows of lists: a name, a bar, a number.

export const percent = (p) => `${(100 * p).toFixed(1)} %`;

// signed writes a number with its sign.
export function signed(v) {
  const size = Math.abs(v);
  const digits = size >= 99.95 ? size.toFixed(0) : size >= 0.095 ? size.toFixed(2) : size > 0 ? size.toPrecision(1) : '0';
  return `${v < 0 ? '−' : '+'}${digits}`;
}

// short cuts a name that is too long for a sentence.
export const short = (name) => ([...name].length > 24 ? `${[...name].slice(0, 23).join('')}…` : name);

export function make(tag, className, parent) {
  const element = document.createElement(tag);
  element.className = className;
  parent.append(element);
  return element;
}

// fill gives a list n rows, made by create, and leaves those that are there.
export function fill(list, n, create) {
  while (list.children.length > n) list.lastElementChild.remove();
  while (list.children.length < n) create();
  return [...list.children];
}

// makeBar makes a bar, scale sets its length, from 0 to 1.
export const makeBar = (parent) => make('i', '', make('span', 'track', parent));
export function scale(bar, share) { bar.style.transform = `scaleX(${Math.max(0, Math.min(1, share))})`; }
