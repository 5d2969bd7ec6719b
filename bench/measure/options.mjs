// Options that several suites have, as node:util's parseArgs takes them, with a text for --help.

export const MODEL = {
  model: { type: 'string', default: '', help: 'Model folder; random weights of the 270M shape without it.' },
};

/** With what, and where it is computed. */
export const PLACE = {
  dtype: { type: 'string', default: 'auto', help: 'bfloat16, float32 or auto.' },
  device: { type: 'string', default: 'cpu', help: 'cpu, cuda, cuda:1, …' },
  threads: { type: 'string', default: '0', help: 'CPU threads; 0 for one a core.' },
};
