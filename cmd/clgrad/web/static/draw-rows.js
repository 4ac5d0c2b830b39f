// Rows of lists: a name, a bar, a number.

export const percent = (p) => `${(100 * p).toFixed(1)} %`;

// least is a difference of logits that changes no probability by as much as percent shows.
export const least = 0.0005;

// signed writes what is added to a logit.
export function signed(v) {
  const size = Math.abs(v);
  if (size < least) return '0.00';
  return `${v < 0 ? '−' : '+'}${size >= 99.95 ? size.toFixed(0) : size >= 0.095 ? size.toFixed(2) : size.toFixed(3)}`;
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
