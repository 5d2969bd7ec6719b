import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { isProgress, Progress, stepOf, stepsLeft, timeLeft } from './progress.mjs';

it.each([
  // ninja, make, a dry run of make
  ['[12/270] Building CXX object CMakeFiles/core.dir/core/device.cpp.o', 'CMakeFiles/core.dir/core/device.cpp.o'],
  ['[ 45%] Building CUDA object CMakeFiles/k.dir/cuda.cu.o', 'CMakeFiles/k.dir/cuda.cu.o'],
  ['[  1%] Linking CXX static library libcore.a', 'libcore.a'],
  ['[269/270] Linking CXX shared library Release/gemmatune_native.node', 'Release/gemmatune_native.node'],
  ['cmake -E cmake_echo_color --progress-num=83 "Building CXX object a.dir/main.cpp.o"', 'a.dir/main.cpp.o'],
  ['cmake -E cmake_echo_color --green --bold "Linking CXX shared module gloo.so"', 'gloo.so'],
  ['[100%] Built target core', null],
  ['[0/2] Re-checking globbed directories...', null],
  ['native/core/device.cpp:7:3: warning: unused variable', null],
])('%s: %s', (line, step) => expect(stepOf(line)).toBe(step));

it.each([
  ['[  5%] Building CXX object x.o', true],
  ['[12/270] Linking CXX executable x', true],
  ['[100%] Built target core', true],
  ['Consolidate compiler generated dependencies of target core', true],
  ['FAILED: x.o', false],
  ['x.cpp:1:1: error: expected [5%] something', false],
])('%s is nothing but progress: %s', (line, is) => expect(isProgress(line)).toBe(is));

it.each([
  [0, 'about 10 s left'],
  [61, 'about 70 s left'],
  [89, 'about 90 s left'],
  [91, 'about 2 min left'],
  [875, 'about 15 min left'],
])('%d s: %s', (seconds, text) => expect(timeLeft(seconds)).toBe(text));

describe('the estimate', () => {
  const ordinary = Array.from({ length: 36 }, (_, i) => `${i}.cpp.o`);
  const slow = ['ops/attention/cuda.cu.o', 'ops/matmul/cuda.cu.o']; // each as much work as 18
  /** 36 s after the beginning, all that is not slow is done. */
  function withSlowLeft() {
    const progress = new Progress([...ordinary, ...slow], 100);
    for (const [i, step] of ordinary.entries()) progress.add(step, 101 + i);
    return progress;
  }

  it('says nothing before it knows something', () => {
    const progress = new Progress([...ordinary, ...slow], 100);
    expect(progress.text(107)).toBe('[0/38] 0 %');
    progress.add('0.cpp.o', 108);
    expect(progress.text(108)).toBe('[1/38] 1 %');
  });

  it('knows what is slow: 36 of 38 files are half of the work', () => {
    const progress = withSlowLeft();
    expect(progress.text(136)).toBe('[36/38] 50 %, about 40 s left');
    progress.add(slow[0], 160);
    expect(progress.text(160)).toBe('[37/38] 75 %, about 20 s left');
  });

  it('goes on counting down while a slow file is compiled', () => {
    const progress = withSlowLeft();
    expect(progress.text(149)).toBe('[36/38] 50 %, about 30 s left');
    expect(progress.text(300)).toBe('[36/38] 50 %, about 10 s left');
  });

  it('does not take for done what make has only begun', () => {
    const progress = new Progress(ordinary, 0, 2);
    for (const step of ordinary.slice(0, 20)) progress.add(step, 50);
    expect(progress.text(50)).toBe('[20/36] 50 %, about 50 s left');
  });

  it('takes in steps that were not foreseen', () => {
    const progress = new Progress(ordinary, 0);
    const others = ordinary.map((name) => `other-${name}`);
    for (const step of [...ordinary.slice(18), ...others.slice(18)]) progress.add(step, 60);
    expect(progress.text(60)).toBe('[36/54] 66 %, about 30 s left');
  });
});

describe.each([
  ['Ninja', 'ninja'],
  ['Unix Makefiles', 'make'],
])('the steps that %s has left', (generator, program) => {
  const folder = mkdtempSync(join(tmpdir(), 'gemmatune-steps-'));
  const build = join(folder, 'build');
  afterAll(() => rmSync(folder, { recursive: true }));
  const cmake = (words, env = {}) => {
    const { status, stdout, stderr } = spawnSync('cmake', words, { encoding: 'utf8', env: { ...process.env, ...env } });
    expect(status, stderr).toBe(0);
    return stdout;
  };
  const left = (...targets) =>
    stepsLeft(build, generator, ['--build', build, ...targets.flatMap((t) => ['--target', t])], cmake).map((path) =>
      path.replace(/.*\//, ''),
    );

  const missing = spawnSync(program, ['--version']).error !== undefined;
  it.skipIf(missing)(
    `are those of a project that looks for its sources${missing ? ` (no ${program} here)` : ''}`,
    () => {
      const write = (name, text) => writeFileSync(join(folder, name), text);
      write(
        'CMakeLists.txt',
        `cmake_minimum_required(VERSION 3.21)
project(steps LANGUAGES CXX)
file(GLOB sources CONFIGURE_DEPENDS lib_*.cpp)
add_library(lib STATIC \${sources})
add_executable(program main.cpp)
target_link_libraries(program PRIVATE lib)
add_executable(other EXCLUDE_FROM_ALL main.cpp)
`,
      );
      write('lib_a.cpp', 'int a() { return 0; }\n');
      write('lib_b.cpp', 'int b() { return 0; }\n');
      write('main.cpp', 'int a();\nint main() { return a(); }\n');
      cmake(['-S', folder, '-B', build, '-G', generator]);
      expect(left().sort()).toEqual(['lib_a.cpp.o', 'lib_b.cpp.o', 'liblib.a', 'main.cpp.o', 'program']);
      expect(left('other').sort()).toEqual(['main.cpp.o', 'other']);
      expect(left('lib', 'program').sort()).toEqual(left().sort());
      cmake(['--build', build]);
      expect(left()).toEqual([]);
      utimesSync(join(folder, 'lib_b.cpp'), new Date(), new Date(Date.now() + 5000));
      // What make links behind another target, it does not foresee.
      expect(left().filter((name) => name !== 'program')).toEqual(['lib_b.cpp.o', 'liblib.a']);
    },
  );
});
