/** The name that a pattern without wildcards means, else null. `\` escapes the next character. */
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

/** The pattern that matches exactly this name. */
export function patternOf(name: string): string {
  return name.replace(/[\\*?]/g, '\\$&')
}

/** A character, or a wildcard: `*` for any text, `?` for any character. */
type Token = { readonly character: string } | '*' | '?'

/**
 * Compiles a pattern that must match the whole name. Takes time proportional to the product of both lengths at most: only the
 * last `*` is retried.
 */
export function compilePattern(pattern: string): (name: string) => boolean {
  const tokens = readTokens(pattern)
  return name => matches(tokens, [...name])
}

function readTokens(pattern: string): Token[] {
  return Array.from(pattern.matchAll(/\\(.)|[\s\S]/gsu), ([character, escaped]) => {
    if (escaped !== undefined) return { character: escaped }
    return character === '*' || character === '?' ? character : { character }
  })
}

function matches(tokens: readonly Token[], name: readonly string[]): boolean {
  let [token, at] = [0, 0]
  // Where to continue after a mismatch: behind the last star, one character later each time.
  let retry: { readonly token: number; readonly at: number } | null = null
  while (at < name.length) {
    const wanted = tokens[token]
    if (wanted === '*') {
      token += 1
      retry = { token, at }
    } else if (wanted !== undefined && (wanted === '?' || wanted.character === name[at])) {
      token += 1
      at += 1
    } else if (retry === null) {
      return false
    } else {
      retry = { token: retry.token, at: retry.at + 1 }
      token = retry.token
      at = retry.at
    }
  }
  return tokens.slice(token).every(left => left === '*')
}
