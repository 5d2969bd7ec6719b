/** How guests say times, dates, numbers and lists; and how they mistype. All take the seeded `random` first. */
import { Said } from '../../quickstart/grammar.mjs';

const SMALL =
  `zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
  nineteen`.split(/\s+/);
const ORDINALS =
  `first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth
  sixteenth seventeenth eighteenth nineteenth twentieth`.split(/\s+/);
const MONTHS = 'January February March April May June July August September October November December'.split(' ');

/** 0 to 39. */
const cardinal = (n) => {
  if (n < SMALL.length) return SMALL[n];
  const tens = n < 30 ? 'twenty' : 'thirty';
  return n % 10 === 0 ? tens : `${tens}-${SMALL[n % 10]}`;
};

/** 1 to 31. */
const ordinal = (n) => {
  if (n <= ORDINALS.length) return ORDINALS[n - 1];
  if (n === 30) return 'thirtieth';
  return `${n < 30 ? 'twenty' : 'thirty'}-${ORDINALS[(n % 10) - 1]}`;
};

const suffixed = (n) => {
  const suffix = n > 10 && n < 14 ? 'th' : (['th', 'st', 'nd', 'rd'][n % 10] ?? 'th');
  return `${n}${suffix}`;
};

const twoDigits = (n) => String(n).padStart(2, '0');

/** In digits or in words. */
export const whole = (from, to) => (random) => {
  const n = random.integer(from, to);
  return new Said(random.chance(0.5) ? String(n) : cardinal(n), n);
};

/** A multiple of a half. */
export const half = (from, to) => (random) => {
  const n = random.integer(from, to);
  if (random.chance(0.55)) return new Said(random.chance(0.65) ? String(n) : cardinal(n), n);
  return new Said(random.chance(0.65) ? `${n}.5` : `${cardinal(n)} and a half`, n + 0.5);
};

/** "7:15 pm", "19:15", "quarter past seven in the evening": never without the half of the day. Full and quarter hours. */
export const time = (from, to) => (random) => {
  const hour = random.integer(from, to);
  const minute = random.pick([0, 0, 15, 30, 30, 45]);
  const value = `${twoDigits(hour)}:${twoDigits(minute)}`;
  const onClock = (h) => ((h + 11) % 12) + 1;
  const short = onClock(hour);
  const half = hour < 12 ? 'am' : 'pm';
  const part = hour < 12 ? 'morning' : hour < 17 ? 'afternoon' : 'evening';
  const digits = minute === 0 ? `${short}` : `${short}${random.pick([':', '.'])}${minute}`;
  const spoken = {
    0: `${cardinal(short)} ${random.pick(["o'clock ", ''])}`,
    15: `quarter past ${cardinal(short)} `,
    30: `half past ${cardinal(short)} `,
    45: `quarter to ${cardinal(onClock(hour + 1))} `,
  };
  const words = [value, `${digits} ${half}`, `${digits}${half}`, `${spoken[minute]}in the ${part}`];
  if (value === '12:00') words.push('noon', 'midday');
  return new Said(random.pick(words), value);
};

/** From April to October 2026, day and month named. */
export const date = (random) => {
  const month = random.integer(4, 10);
  const day = random.integer(1, 30);
  const name = MONTHS[month - 1];
  const value = `2026-${twoDigits(month)}-${twoDigits(day)}`;
  const words = [
    value,
    `${day} ${name}`,
    `${name} ${day}`,
    `${name} ${suffixed(day)}`,
    `the ${suffixed(day)} of ${name}`,
    `the ${ordinal(day)} of ${name}`,
  ];
  // With a day past 12 the order of day and month cannot be mistaken.
  if (day > 12) words.push(`${twoDigits(day)}.${twoDigits(month)}.2026`);
  return new Said(random.pick(words), value);
};

const bare = (noun) => noun.replace(/^(an?|the) /, '');

/** One of `nouns`, "a club sandwich" or "fries": the article is said, and is no part of the value. */
export const withArticle = (nouns) => (random) => {
  const noun = random.pick(nouns);
  return new Said(noun, bare(noun));
};

/** One to three different of `nouns`. */
export const several = (nouns) => (random) => {
  const drawn = random.sample(nouns, random.integer(1, 3));
  const last = drawn.length - 1;
  const joint = random.pick([' and ', ' and ', ' plus ', ', and ']);
  const words = last === 0 ? drawn[0] : drawn.slice(0, last).join(', ') + joint + drawn[last];
  return new Said(words, drawn.map(bare));
};

/** The text with one of its `[a|b]` for each bracket, from the innermost. */
export function choose(text, random) {
  const chosen = text.replace(/\[([^[\]]*)\]/g, (_, options) => random.pick(options.split('|')));
  return chosen === text ? text : choose(chosen, random);
}

/** One word, outside of slots and of five letters or more, with two neighbours swapped or one letter left out. */
export function mistype(phrasing, random) {
  const words = phrasing.split(' ');
  const long = [...words.keys()].filter((i) => /^[a-z]{5,}$/.test(words[i]));
  if (long.length === 0) return phrasing;
  const at = random.pick(long);
  const word = words[at];
  const i = random.integer(1, word.length - 3);
  const swapped = word[i + 1] + word[i];
  words[at] = word.slice(0, i) + (random.chance(0.6) ? swapped : word[i + 1]) + word.slice(i + 2);
  return words.join(' ');
}
