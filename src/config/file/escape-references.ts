/** The characters that mean something to YAML within `${...}`, each with a noncharacter that stands in for it. */
const characters = '{}[],:#'
const standIns = '\uFDD0\uFDD1\uFDD2\uFDD3\uFDD4\uFDD5\uFDD6'

/**
 * Makes every `${...}` of a YAML text one word to a YAML parser, so that it can stand in `[a, ${B:-c}]` too. As long
 * as the text itself, so that positions stay what they are. `unshield` undoes it in what was parsed.
 */
export function escapeReferences(text: string): string {
  let depth = 0
  return text.replace(/\$\$\{|\$\{|\n|[{}[\],:#]/g, found => {
    if (found === '$${') return found
    if (found === '\n') depth = 0
    if (found === '${') depth++
    const shielded = depth > 0 ? found.replace(/[{}[\],:#]/, swap(characters, standIns)) : found
    if (found === '}' && depth > 0) depth--
    return shielded
  })
}

export function unescapeReferences(text: string): string {
  return text.replace(/[\uFDD0-\uFDD6]/g, swap(standIns, characters))
}

const swap = (from: string, to: string) => (character: string) => to[from.indexOf(character)] ?? character
