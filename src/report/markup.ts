/** A piece of HTML that is safe to send. */
class Markup {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

export type { Markup }

/** HTML or CSS of our own, which is not escaped. */
export function literal(text: string): Markup {
  return new Markup(text)
}

/** HTML from a template. Values are escaped unless they are markup; lists are joined, and null becomes empty. */
export function html(strings: TemplateStringsArray, ...values: readonly unknown[]): Markup {
  return new Markup(strings.map((part, at) => part + (at < values.length ? toHtml(values[at]) : '')).join(''))
}

function toHtml(value: unknown): string {
  if (value instanceof Markup) return value.text
  if (Array.isArray(value)) return value.map(toHtml).join('')
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
