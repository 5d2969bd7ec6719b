import { HubError } from './errors.js';
import type { Environment } from './token.js';

/** The Hub to speak to: the option, `HF_ENDPOINT`, else the public one; without a trailing slash. */
export function hubEndpoint(option: string | undefined, env: Environment): string {
  return endpoint(['The endpoint option', option], ['HF_ENDPOINT', env.HF_ENDPOINT], 'https://huggingface.co');
}

/** Likewise of Kaggle: the option, `KAGGLE_API_ENDPOINT`, else the public one. */
export function kaggleEndpoint(option: string | undefined, env: Environment): string {
  const variable = ['KAGGLE_API_ENDPOINT', env.KAGGLE_API_ENDPOINT] as const;
  return endpoint(['The kaggleEndpoint option', option], variable, 'https://www.kaggle.com');
}

type Given = readonly [source: string, address: string | undefined];

function endpoint(option: Given, variable: Given, usual: string): string {
  const [source, address] = option[1] === undefined ? variable : option;
  if (!address) return usual;
  if (!/^https?:\/\//i.test(address) || !URL.canParse(address)) {
    const text = `${source} is ${JSON.stringify(address)}: expected an address such as ${usual}.`;
    throw new HubError('ERR_GEMMATUNE_HUB_ARGUMENT', text);
  }
  return address.replace(/\/+$/, '');
}
