// The page of clgrad serve: draw or open a picture, or fill in a row, and see what the network makes of it.

import { Asker, Problem, ask } from './draw-ask.js';
import { View } from './draw-answer.js';
import { Form } from './draw-form.js';
import { Paper } from './draw-paper.js';

const get = (id) => document.getElementById(id);

// showProblem says what is wrong, and when it is tried again; null that nothing is.
function showProblem(problem, seconds) {
  if (problem && !(problem instanceof Problem)) console.error(problem.stack); // a mistake of this page
  get('problem').hidden = !problem;
  if (problem) get('problem').textContent = problem.message + (seconds ? ` It is asked again in ${seconds} s.` : '');
}

function start(model) {
  const digits = model.classes.length === 10 && model.classes.every((name, i) => name === String(i));
  const title = model.columns ? 'What class has this row?' : digits ? 'Draw a digit' : 'Draw or open a picture';
  get('title').textContent = document.title = title;
  get('about').textContent = model.about;

  let input;
  const view = new View(model.classes, model.columns, () => asker.change());
  const asker = new Asker(async (signal) => {
    if (input.empty) return null;
    const question = view.wanted < 0 ? '/v1/explain' : `/v1/explain?class=${view.wanted}`;
    return ask(question, await input.request(), signal);
  }, (answer) => view.show(answer), (problem, seconds) => {
    showProblem(problem, seconds);
    if (problem && seconds === null) view.clear(input.prompt);
  });
  const changed = () => {
    if (!input.empty) return asker.change();
    asker.drop();
    showProblem(null);
    view.clear(input.prompt);
  };

  input = model.columns ? new Form(model.columns, model.gaps) : drawing(model, view);
  input.addEventListener('change', changed);
  changed();
}

// drawing returns the drawing area with its buttons.
function drawing(model, view) {
  get('drawing').hidden = false;
  const paper = new Paper(get('paper'), model.shape[0], model.shape[1], model.dark);
  paper.addEventListener('change', () => {
    get('undo').disabled = get('clear').disabled = paper.empty;
    get('here').hidden = !paper.empty;
  });
  paper.addEventListener('pen', (e) => view.say(e.detail));
  const button = (id, act) => get(id).addEventListener('click', () => {
    act();
    if (paper.empty) get('paper').focus({ preventScroll: true }); // a disabled button has no focus
  });
  button('undo', () => paper.undo());
  button('clear', () => paper.clear());

  const open = (file) => {
    if (!file) return;
    paper.open(file).catch(() => showProblem(new Problem(`${file.name}: a PNG or JPEG picture is expected.`)));
  };
  get('file').addEventListener('change', (e) => { open(e.target.files[0]); e.target.value = ''; });
  addEventListener('dragover', (e) => { e.preventDefault(); get('paper').classList.add('over'); });
  addEventListener('dragleave', () => get('paper').classList.remove('over'));
  addEventListener('drop', (e) => {
    e.preventDefault();
    get('paper').classList.remove('over');
    open(e.dataTransfer.files[0]);
  });
  return paper;
}

// load asks for the model until the server answers.
async function load(failures = 0) {
  try {
    const model = await ask('/v1/form');
    showProblem(null);
    start(model);
  } catch (problem) {
    if (!(problem instanceof Problem) || problem.retry === null) return showProblem(problem);
    const seconds = Math.min(30, Math.max(problem.retry, 2 ** failures));
    showProblem(problem, seconds);
    setTimeout(() => load(failures + 1), 1000 * seconds);
  }
}

load();
