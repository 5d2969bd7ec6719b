// glibc-stubs.mjs <folder> <floor> <compiler>: hollow twins of this machine's libc and libm to link against. Each offers every
// symbol at the newest version that the floor (for example 2.28) already had, and nothing younger. A shared object linked against
// them loads wherever glibc is at least the floor, whatever this machine has; a symbol younger than the floor stays unversioned,
// which check-addon.mjs reports. glibc keeps its old versions for ever, so no old system has to be downloaded.
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';

const [folder, floor, compiler] = process.argv.slice(2);
const run = (command, ...args) => execFileSync(command, args, { encoding: 'utf8', maxBuffer: 1e9 });
const newer = (a, b) => a.localeCompare(b, undefined, { numeric: true }) > 0;
const find = (library) => run(compiler, `-print-file-name=${library}`).trim();

mkdirSync(folder, { recursive: true });
const libc = find('libc.so.6');
const loader = run('objdump', '-p', libc).match(/NEEDED\s+(ld-linux\S+)/)[1];
for (const [name, path] of Object.entries({ c: libc, m: find('libm.so.6'), loader: find(loader) })) {
  // symbol -> its newest version up to the floor. objdump's columns: address, flags, section, size, version, symbol.
  const best = new Map();
  for (const [, kind, section, size, version, symbol] of run('objdump', '-T', path).matchAll(
    /^[0-9a-f]+ .{6}(.) (\S+)\s+([0-9a-f]+)\s+\(?GLIBC_([\d.]+)\)?\s+(\S+)$/gm,
  )) {
    if (section === '*UND*' || section === '*ABS*' || newer(version, floor)) continue;
    const known = best.get(symbol);
    if (!known || newer(version, known.version)) best.set(symbol, { version, size: Number.parseInt(size, 16), kind });
  }

  // Only name, version, type and size reach what is linked against this; the address means nothing.
  const lines = ['.text'];
  const nodes = new Map();
  for (const [symbol, { version, size, kind }] of best) {
    lines.push(`.globl ${symbol}`, `.type ${symbol}, ${kind === 'O' ? '@object' : '@function'}`, `.size ${symbol}, ${size}`);
    lines.push(`${symbol}:`);
    nodes.set(version, [...(nodes.get(version) ?? []), symbol]);
  }
  lines.push('.byte 0', '.section .note.GNU-stack,"",%progbits', '');
  const file = (ending) => join(folder, `lib${name}.${ending}`);
  writeFileSync(file('s'), lines.join('\n'));
  writeFileSync(file('map'), [...nodes].map(([v, symbols]) => `GLIBC_${v} { global: ${symbols.join('; ')}; };\n`).join(''));
  const link = ['-shared', '-nostdlib', `-Wl,-soname,${basename(path)}`, `-Wl,--version-script,${file('map')}`];
  run(compiler, ...link, '-o', file('so'), file('s'));
}
