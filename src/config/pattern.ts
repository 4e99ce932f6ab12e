import { createRequire } from 'node:module'

/**
 * RE2 takes time in proportion to the text, whatever the pattern: a config cannot make Driftwatch hang. Loading it costs
 * 50 ms, which only who uses a pattern pays.
 */
function loadRe2(): typeof import('re2js') {
  return createRequire(import.meta.url)('re2js')
}

/** Whether a text is a regular expression of RE2. */
export function isPattern(text: string): boolean {
  try {
    loadRe2().RE2JS.compile(text)
    return true
  } catch {
    return false
  }
}

/** Whether the pattern matches somewhere in `text`. */
export function matchesPattern(pattern: string, text: string): boolean {
  return loadRe2().RE2JS.compile(pattern).matcher(text).find()
}
