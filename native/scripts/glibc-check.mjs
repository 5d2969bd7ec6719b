// Refuses a binary that needs a newer libc or libstdc++ than Node 20's own floor (glibc 2.28, GLIBCXX 3.4.25: RHEL 8).
import { execFileSync } from 'node:child_process';

const CAPS = { GLIBC: '2.28', GLIBCXX: '3.4.25', CXXABI: '1.3.11' };
const newer = (a, b) => a.localeCompare(b, undefined, { numeric: true }) > 0;
let failed = false;
for (const file of process.argv.slice(2)) {
  const symbols = execFileSync('objdump', ['-T', file], { encoding: 'utf8', maxBuffer: 1e9 });
  const needed = {};
  for (const [, library, version, symbol] of symbols.matchAll(/\((GLIBC|GLIBCXX|CXXABI)_([\d.]+)\)\s+(\S+)/g)) {
    if (!needed[library] || newer(version, needed[library])) needed[library] = version;
    if (!newer(version, CAPS[library])) continue;
    console.error(`${file}: ${symbol} needs ${library}_${version}, more than ${CAPS[library]}`);
    failed = true;
  }
  console.log(`${file}: needs ${Object.entries(needed).map(([k, v]) => `${k} ${v}`).join(', ')}`);
}
process.exit(failed ? 1 : 0);
