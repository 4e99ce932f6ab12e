/** Whether a pattern is nothing but a name; then the name. `\` takes the meaning from what follows. */
export function literalName(pattern: string): string | null {
  let name = ''
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern.charAt(at)
    if (character === '*' || character === '?') return null
    if (character === '\\' && at + 1 < pattern.length) at++
    name += pattern.charAt(at)
  }
  return name
}

/** The pattern that means exactly this name. */
export function patternOf(name: string): string {
  return name.replace(/[\\*?]/g, '\\$&')
}

/** Whether a whole name matches a pattern in which `*` stands for anything and `?` for one character. */
export function compilePattern(pattern: string): (name: string) => boolean {
  const source = pattern.replace(/\\(.)|[\s\S]/gu, (character, escaped: string | undefined) => {
    if (escaped !== undefined) return quoteForRegExp(escaped)
    if (character === '*') return '.*'
    return character === '?' ? '.' : quoteForRegExp(character)
  })
  const whole = new RegExp(`^${source.replace(/(\.\*)+/g, '.*')}$`, 'su')
  return name => whole.test(name)
}

function quoteForRegExp(character: string): string {
  return /[\\^$.*+?()[\]{}|/]/.test(character) ? `\\${character}` : character
}
