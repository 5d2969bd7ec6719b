import { describe, expect, it } from 'vitest';
import { cudaOption, decide } from './configuration.mjs';

const NVCC = 'Cuda compilation tools, release 13.0, V13.0.88';
/** @type {import('./configuration.mjs').Wanted} */
const record = {
  source: '/checkout/native',
  options: { GEMMATUNE_CUDA: 'AUTO' },
  packages: ['/checkout/node_modules/node-addon-api'],
  cxx: null,
  compiler: 'c++ 12.2.0',
  nvcc: NVCC,
};
/** @type {import('./configuration.mjs').Configuration} */
const before = {
  source: '/checkout/native',
  generator: 'Ninja',
  compiler: '/usr/bin/c++',
  make: '/usr/bin/ninja',
  cuda: 'AUTO',
  nvcc: '/usr/local/bin/nvcc',
  found: ['/usr/include/gloo/allreduce.h', '/usr/lib/libgloo.so'],
  record,
};

/**
 * What follows where the folder or the wish differs so, and where these files are not there.
 * @typedef {object} Change
 * @property {Partial<import('./configuration.mjs').Configuration>} [folder]
 * @property {Partial<import('./configuration.mjs').Wanted>} [wanted]
 * @property {string[]} [gone]
 */

/** @param {Change} change */
function step({ folder = {}, wanted = {}, gone = [] } = {}) {
  return decide({ ...before, ...folder }, { ...record, ...wanted }, (path) => !gone.includes(path));
}
const configures = { step: 'configure', why: null, forgetCuda: false };

describe('a build folder', () => {
  it('is kept where all is as it was', () => expect(step()).toEqual({ step: 'keep', why: null, forgetCuda: false }));

  it.each([
    ['an option differs', { wanted: { options: { GEMMATUNE_CUDA: 'OFF' } } }],
    ['a package of headers lies elsewhere', { wanted: { packages: ['/checkout/node_modules/node-addon-api-9'] } }],
    ['a library was not found, and may be there now', { gone: ['NOTFOUND'], folder: { found: ['NOTFOUND'] } }],
    ['a library that was found is gone', { gone: ['/usr/lib/libgloo.so'] }],
    ['a header that was found is gone', { gone: ['/usr/include/gloo/allreduce.h'] }],
    ['nvcc has come', { folder: { nvcc: undefined, record: { ...record, nvcc: null } } }],
    ['CMake did not come to its end', { folder: { record: { ...record, options: null } } }],
  ])('is configured again where %s', (_, change) => expect(step(change)).toEqual(configures));

  it.each([
    ['nobody knows what it was configured with', { folder: { record: null } }],
    ['nvcc is another', { wanted: { nvcc: 'release 12.9, V12.9.41' } }],
    ['nvcc is gone', { wanted: { nvcc: null }, gone: ['/usr/local/bin/nvcc'] }],
    ['nvcc lies elsewhere', { gone: ['/usr/local/bin/nvcc'] }],
    ['nvcc was not found, and has come', { folder: { nvcc: 'NOTFOUND', record: { ...record, nvcc: null } } }],
  ])('is configured again, and nvcc looked for anew, where %s', (_, change) =>
    expect(step(change)).toEqual({ ...configures, forgetCuda: true }),
  );

  it.each([
    ['was configured elsewhere', { wanted: { source: '/moved/native' } }, 'it was configured for /checkout/native'],
    ['has lost its compiler', { gone: ['/usr/bin/c++'] }, '/usr/bin/c++ is gone'],
    ['has lost what runs the build', { gone: ['/usr/bin/ninja'] }, '/usr/bin/ninja is gone'],
    ['is to have another compiler', { wanted: { cxx: 'clang++' } }, 'CXX is clang++, it was not set'],
    [
      'has had its compiler replaced',
      { wanted: { compiler: 'c++ 13.1.0' } },
      'the compiler is c++ 13.1.0, it was c++ 12.2.0',
    ],
  ])('that %s is of no use any more', (_, change, why) =>
    expect(step(change)).toEqual({ step: 'start over', why, forgetCuda: false }),
  );

  it('that is not there is made without a word', () =>
    expect(decide(null, record)).toEqual({ step: 'start over', why: null, forgetCuda: false }));
});

it.each([
  // said, before, driver, option
  [undefined, undefined, false, 'OFF'],
  [undefined, undefined, true, 'AUTO'],
  [undefined, 'OFF', false, 'OFF'],
  [undefined, 'OFF', true, 'AUTO'],
  [undefined, 'AUTO', false, 'AUTO'],
  [undefined, 'ON', true, 'ON'],
  [undefined, '/usr/local/bin/nvcc', false, 'AUTO'],
  [undefined, 'CMAKE_CUDA_COMPILER-NOTFOUND', false, 'OFF'],
  ['', 'AUTO', false, 'AUTO'],
  ['AUTO', 'OFF', false, 'AUTO'],
  ['OFF', 'AUTO', true, 'OFF'],
  ['ON', 'OFF', false, 'ON'],
])('GEMMATUNE_CUDA=%s where it was %s, with a driver: %s, is %s', (said, was, driver, option) =>
  expect(cudaOption(said, was, driver)).toBe(option),
);

it('GEMMATUNE_CUDA with another value is refused', () =>
  expect(() => cudaOption('/usr/bin/nvcc', undefined, false)).toThrow(/is \/usr\/bin\/nvcc, expected AUTO, ON or OFF/));
