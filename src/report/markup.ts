/** A piece of HTML that is safe to send. */
class Markup {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

export type { Markup }

/** Text of our own that is HTML, or CSS, as it is. */
export function literal(text: string): Markup {
  return new Markup(text)
}

/** HTML of a template: whatever is put into it is text, unless it is markup itself. Lists are joined, null is nothing. */
export function html(strings: TemplateStringsArray, ...values: readonly unknown[]): Markup {
  return new Markup(strings.map((part, at) => part + (at < values.length ? show(values[at]) : '')).join(''))
}

function show(value: unknown): string {
  if (value instanceof Markup) return value.text
  if (Array.isArray(value)) return value.map(show).join('')
  return value === null ? '' : escapeText(String(value))
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

function escapeText(text: string): string {
  return text.replaceAll(/[&<>"']/g, character => entities[character] ?? character)
}
