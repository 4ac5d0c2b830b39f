// A row of a table, in a form with a field for each column.

const get = (id) => document.getElementById(id);

// Form dispatches "change" where a value has changed.
export class Form extends EventTarget {
  #fields;

  // columns have names and example values. gaps says that a value may be missing.
  constructor(columns, gaps) {
    super();
    const form = get('form');
    form.hidden = false;
    this.#fields = columns.map(({ name, value }, i) => {
      const label = document.createElement('label'), field = document.createElement('input');
      label.textContent = name;
      label.htmlFor = field.id = `column-${i}`;
      Object.assign(field, { type: 'number', step: 'any', required: !gaps, defaultValue: value, autocomplete: 'off' });
      get('columns').append(label, field);
      field.addEventListener('input', () => this.#changed());
      return field;
    });
    form.addEventListener('submit', (e) => e.preventDefault());
    form.addEventListener('reset', () => setTimeout(() => this.#changed()));
  }

  get prompt() { return 'A number is missing'; }

  get empty() { return this.#fields.some((f) => !f.validity.valid); }

  // request returns a request about the row.
  async request() {
    const row = this.#fields.map((f) => (f.value === '' ? null : Number(f.value)));
    return { method: 'POST', body: JSON.stringify({ row }), headers: { 'Content-Type': 'application/json' } };
  }

  #changed() {
    for (const f of this.#fields) f.setAttribute('aria-invalid', String(!f.validity.valid));
    this.dispatchEvent(new Event('change'));
  }
}
