/** The YAML syntax characters that may occur in `${...}`, and the noncharacters that replace them. */
const characters = '{}[],:#'
const standIns = '\uFDD0\uFDD1\uFDD2\uFDD3\uFDD4\uFDD5\uFDD6'

/**
 * Makes every `${...}` of a YAML text one word for the YAML parser, so that `[a, ${B:-c}]` is valid. Keeps all positions.
 * `unescapeReferences` reverses it in parsed values.
 */
export function escapeReferences(text: string): string {
  let depth = 0
  return text.replace(/\$\$\{|\$\{|\n|[{}[\],:#]/g, found => {
    if (found === '$${') return found
    if (found === '\n') depth = 0
    if (found === '${') depth++
    const escaped = depth > 0 ? found.replace(/[{}[\],:#]/, swap(characters, standIns)) : found
    if (found === '}' && depth > 0) depth--
    return escaped
  })
}

export function unescapeReferences(text: string): string {
  return text.replace(/[\uFDD0-\uFDD6]/g, swap(standIns, characters))
}

const swap = (from: string, to: string) => (character: string) => to[from.indexOf(character)] ?? character
