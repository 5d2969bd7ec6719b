// check-addon.mjs [--require-floor] <addon>...: says which glibc and libstdc++ a Linux addon needs, and refuses one with a symbol of
// our own that nobody defines. --require-floor also refuses what needs more than Node 20 itself (RHEL 8).
import { execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { basename } from 'node:path';
import { parseArgs } from 'node:util';

const FLOOR = { GLIBC: '2.28', GLIBCXX: '3.4.25', CXXABI: '1.3.11', GCC: '7.0.0' };
const newer = (a, b) => a.localeCompare(b, undefined, { numeric: true }) > 0;
const { values, positionals } = parseArgs({ allowPositionals: true, options: { 'require-floor': { type: 'boolean' } } });

let refused = false;
for (const file of positionals) {
  const needed = {};
  const above = [];
  for (const line of execFileSync('nm', ['-D', '--undefined-only', file], { encoding: 'utf8' }).trim().split('\n')) {
    const [kind, name] = line.trim().split(/\s+/);
    const [symbol, version] = name.split('@');
    if (version === undefined) {
      if (kind !== 'U' || /^(napi|node_api)_/.test(symbol)) continue;
      above.push(`${symbol} is defined nowhere, or is younger than glibc ${FLOOR.GLIBC}`);
      refused ||= symbol.startsWith('_ZN2gt') || symbol.startsWith('_ZN4bind');
      continue;
    }
    const [, library, number] = version.match(/^([A-Z]+)_([\d.]+)$/) ?? [];
    if (library === undefined) continue;
    if (!needed[library] || newer(number, needed[library])) needed[library] = number;
    if (!(library in FLOOR) || newer(number, FLOOR[library])) above.push(`${symbol} needs ${version}`);
  }
  const needs = Object.entries(needed).map(([library, version]) => `${library} ${version}`);
  console.log(`${basename(file)}: ${(statSync(file).size / 1e6).toFixed(1)} MB, needs ${needs.join(', ')}`);
  if (above.length === 0) continue;
  const floor = Object.entries(FLOOR).map(([library, version]) => `${library} ${version}`);
  console.log(`  this is more than Node 20 itself needs (${floor.join(', ')}):\n  ${above.join('\n  ')}`);
  refused ||= values['require-floor'] === true;
}
process.exit(refused ? 1 : 0);
