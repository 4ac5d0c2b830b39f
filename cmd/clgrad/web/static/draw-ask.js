// Questions to the server.

const pause = 40;      // from one question to the next, in milliseconds
const patience = 10e3; // how long an answer may take
const longest = 30;    // seconds until a question that failed is asked again

// A Problem is why there is no answer. retry says that there may be one later, after so many
// seconds where that is known.
export class Problem extends Error {
  constructor(text, retry = null) {
    super(text);
    this.retry = retry;
  }
}

// ask sends a request and returns the answer's JSON. It throws a Problem, or an AbortError.
export async function ask(path, options = {}, signal = undefined) {
  const late = AbortSignal.timeout(patience);
  let response;
  try {
    response = await fetch(path, { ...options, signal: signal ? AbortSignal.any([signal, late]) : late });
    if (response.ok) return await response.json();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem('The server does not answer.', 0);
  }
  const text = await response.json().then((p) => p.detail || p.title, () => `The server answers with status ${response.status}.`);
  if (response.status === 429 || response.status === 503) {
    throw new Problem(`The server is busy. ${text}`, Number(response.headers.get('Retry-After')) || 0);
  }
  throw new Problem(text, response.status >= 500 ? 0 : null);
}

// An Asker asks about what changes: one question at a time, and the next one is about what there is
// then. So no answer overtakes another.
export class Asker {
  #question; #answered; #failed;
  #changed = false;
  #busy = false;
  #failures = 0;
  #timer = null;
  #abort = new AbortController();

  // question(signal) returns a promise of an answer, or null where there is nothing to ask;
  // answered(answer) and failed(problem, seconds) are told what came of it. Where seconds is not
  // null, the question is asked again after so many. After success failed is called with null.
  constructor(question, answered, failed) {
    [this.#question, this.#answered, this.#failed] = [question, answered, failed];
  }

  // change says that the answer to come is another.
  change() {
    this.#changed = true;
    this.#start();
  }

  // drop says that an answer that is under way is no longer wanted.
  drop() {
    this.#abort.abort();
    this.#abort = new AbortController();
    this.#changed = false;
  }

  async #start() {
    if (this.#busy || this.#timer !== null || !this.#changed) return;
    this.#busy = true;
    this.#changed = false;
    const { signal } = this.#abort;
    let wait = pause;
    try {
      const answer = await this.#question(signal);
      if (!signal.aborted && answer !== null) {
        this.#answered(answer);
        this.#failures = 0;
        this.#failed(null, null);
      }
    } catch (error) {
      if (!signal.aborted) wait = this.#fail(error);
    }
    this.#busy = false;
    this.#timer = setTimeout(() => { this.#timer = null; this.#start(); }, wait);
  }

  // fail returns after how many milliseconds the next question may be asked.
  #fail(error) {
    if (!(error instanceof Problem) || error.retry === null) {
      this.#failed(error, null);
      return pause;
    }
    const seconds = Math.min(longest, Math.max(error.retry, 2 ** this.#failures++));
    this.#changed = true;
    this.#failed(error, seconds);
    return 1000 * seconds;
  }
}
