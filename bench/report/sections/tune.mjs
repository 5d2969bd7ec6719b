import { binaryBytes, joined, number, settingText } from '../format.mjs';

/** What each setting costs, and the best. @returns {import('../sections.mjs').Section | null} */
export function tuneSection({ results }) {
  const trials = results.filter(({ setting }) => setting);
  const found = results.find(({ best }) => best);
  if (trials.length === 0) return null;
  const [start] = trials;
  const names = trials.map(({ setting }) => changes(setting, start.setting) || 'start');
  const from = `start: ${settingText(start.setting)}`;
  const best = found
    ? [
        ['best', settingText(found.best)],
        ['written to', found.file],
        ['to use it', found.command],
      ].filter(([, text]) => text)
    : [];
  return {
    title: 'Settings for this machine',
    note: `Each setting that was tried, by what it changes; green: kept in the end. ${from}.`,
    blocks: [
      {
        bars: {
          title: 'tokens/s',
          items: trials.map(({ tokensPerSecond, peakBytes, kept, verdict }, i) => ({
            label: names[i],
            value: tokensPerSecond ?? 0,
            text: joined([number(tokensPerSecond), binaryBytes(peakBytes), verdict]),
            tone: kept ? 'good' : undefined,
          })),
        },
      },
      ...(best.length > 0 ? [{ table: { columns: ['', ''], rows: best, text: true } }] : []),
    ],
    summary: {
      columns: ['setting', 'tokens/s', 'peak memory', ''],
      rows: trials.map(({ tokensPerSecond, peakBytes, kept, verdict }, i) => [
        names[i],
        number(tokensPerSecond),
        binaryBytes(peakBytes),
        verdict ?? (kept ? 'kept' : ''),
      ]),
      notes: [from, ...best.map((pair) => pair.join(': '))],
    },
  };
}

/** What a setting has otherwise than another. */
function changes(setting, from) {
  const same = ([name, value]) => JSON.stringify(value) === JSON.stringify(from[name]);
  return settingText(Object.fromEntries(Object.entries(setting).filter((entry) => !same(entry))));
}
