// Options that several suites have, and what their words mean.

export const MODEL = {
  model: { default: '', help: 'Model folder; random weights of the 270M shape without it.' },
};

/** With what, and where it is computed. */
export const PLACE = {
  dtype: { default: 'auto', help: 'bfloat16, float32 or auto.' },
  device: { default: 'cpu', help: 'cpu, cuda, cuda:1, …' },
  threads: { default: '0', help: 'CPU threads; 0 for one a core.' },
};

/**
 * What the engine calls them; it refuses what it does not know.
 * @param {{ dtype: string, device: string, threads: string }} words of PLACE
 * @returns {Required<Pick<import('@gemmatune/engine').ModelOptions, 'dtype' | 'device' | 'threads'>>}
 */
export const placeOf = ({ dtype, device, threads }) => ({
  dtype: /** @type {import('@gemmatune/engine').DTypeName | 'auto'} */ (dtype),
  device: /** @type {import('@gemmatune/engine').DeviceSpec} */ (device),
  threads: Number(threads),
});

/**
 * The names in a list with commas. An empty list stays empty.
 * @template {string} Name
 * @param {string} option
 * @param {string} list
 * @param {readonly Name[]} known
 * @returns {Name[]}
 * @throws Error naming the first that is not known
 */
export function chosen(option, list, known) {
  return list.split(',').flatMap((word) => {
    const name = word.trim();
    const found = known.find((each) => each === name);
    if (name !== '' && found === undefined)
      throw new Error(`${option} names "${name}"; expected some of ${known.join(', ')}`);
    return found ?? [];
  });
}
