// HTML from templates: everything that is put in is escaped, unless it came out of such a template itself.

const ENTITIES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

class Html {
  constructor(text) {
    this.text = text;
  }
  toString() {
    return this.text;
  }
}

/** html`<td>${value}</td>`: value may be text, a number, HTML of another template, or a list of these; null and false are nothing. */
export function html(parts, ...values) {
  return new Html(String.raw({ raw: parts }, ...values.map(escaped)));
}

function escaped(value) {
  if (value instanceof Html) return value.text;
  if (Array.isArray(value)) return value.map(escaped).join('');
  if (value === null || value === undefined || value === false) return '';
  return String(value).replace(/[&<>"']/g, (character) => ENTITIES[character]);
}
