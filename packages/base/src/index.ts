/** What every package says and does alike. */
export { expectArgument, expectOptions, isObject } from './arguments.js';
export { counted } from './counted.js';
export { GemmatuneError, InputError } from './errors.js';
export { isMissing, isSystemError, reasonOf, shown } from './found.js';
export { type Refuse, readJsonFile, readJsonIfThere, readTextIfThere } from './json-file.js';
export { didYouMean, editDistance, nearestName } from './nearest.js';
export * from './option.js';
export { version } from './version.js';
export { naming, openWhole, type WholeFile, writeWhole } from './whole-file.js';
