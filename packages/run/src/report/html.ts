/** HTML and SVG from templates: everything that is put in is escaped, unless it came out of such a template itself. */

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

export class Html {
  readonly #text: string;
  constructor(text: string) {
    this.#text = text;
  }
  toString(): string {
    return this.#text;
  }
}

/** null, undefined and false are nothing, a list is its items one after another. */
export type Content = string | number | Html | null | undefined | false | readonly Content[];

/** html`<td>${value}</td>` */
export function html(parts: TemplateStringsArray, ...values: readonly Content[]): Html {
  return new Html(parts.map((part, i) => (i === 0 ? part : escaped(values[i - 1]) + part)).join(''));
}

function escaped(value: Content): string {
  if (value instanceof Html) return value.toString();
  if (Array.isArray(value)) return value.map(escaped).join('');
  if (value === null || value === undefined || value === false) return '';
  return String(value).replace(/[&<>"']/g, (character) => ENTITIES[character]!);
}
