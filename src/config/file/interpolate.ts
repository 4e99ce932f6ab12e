/** The variables that `${VAR}` can refer to: an environment. */
export type Variables = Readonly<Record<string, string | undefined>>

/** A text with its references resolved, or the problems with them. */
type Interpolated =
  | { readonly value: string; readonly faults?: undefined }
  | { readonly faults: readonly string[]; readonly value?: undefined }

/**
 * Replaces `${VAR}` and `${VAR:-default}` in `text`. A default may contain references; the value of a variable is not
 * interpolated again. An empty variable takes the default, as in a shell. `$${` is an escaped `${`.
 */
export function interpolate(text: string, variables: Variables): Interpolated {
  const template = parseTemplate(text)
  if (!template) return { faults: [malformed] }
  const unset = new Set<string>()
  const value = fill(template, variables, unset)
  if (unset.size === 0) return { value }
  return { faults: [...unset].map(name => `variable ${name} is not set: set it, or use \${${name}:-default}`) }
}

/** Whether `interpolate` would change anything in `text`. */
export function isInterpolated(text: string): boolean {
  return text.includes('${')
}

/** Escapes `text` so that `interpolate` returns it unchanged. */
export function escapeInterpolation(text: string): string {
  return text.replaceAll('${', () => '$${')
}

const malformed = `invalid variable: expected \${NAME} or \${NAME:-default}; write $\${ for a literal \${`

type Template = readonly (string | Reference)[]

interface Reference {
  readonly name: string
  /** The default for a variable that is empty or not set, or null. */
  readonly fallback: Template | null
}

/** The maximum nesting of defaults in defaults. */
const maxNesting = 16

/** The parts of `text`, or null if a reference is malformed. */
function parseTemplate(text: string): Template | null {
  const token = /\$\$\{|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(\}|:-))?|\}/g
  const readParts = (depth: number): Template | null => {
    const parts: (string | Reference)[] = []
    for (let start = token.lastIndex; ; start = token.lastIndex) {
      const found = token.exec(text)
      parts.push(text.slice(start, found?.index))
      if (!found) return depth === 0 ? parts : null
      const [written, name, ending] = found
      if (written === '}' && depth > 0) return parts
      if (written === '}' || written === '$${') parts.push(written.slice(-2))
      else if (name && ending === '}') parts.push({ name, fallback: null })
      else {
        const fallback = name && depth < maxNesting ? readParts(depth + 1) : null
        if (!name || !fallback) return null
        parts.push({ name, fallback })
      }
    }
  }
  return readParts(0)
}

/** Resolves a template. Adds variables without a value and a default to `unset`. */
function fill(template: Template, variables: Variables, unset: Set<string>): string {
  const read = ({ name, fallback }: Reference) => {
    const value = Object.hasOwn(variables, name) ? variables[name] : undefined
    if (value || (value === '' && !fallback)) return value
    if (fallback) return fill(fallback, variables, unset)
    unset.add(name)
    return ''
  }
  return template.map(part => (typeof part === 'string' ? part : read(part))).join('')
}
