import { createRequire } from 'node:module'

/**
 * RE2 matches in linear time, so a pattern of the config cannot make Driftwatch hang. Loaded on first use, which takes
 * 50 ms.
 */
function loadRe2(): typeof import('re2js') {
  return createRequire(import.meta.url)('re2js')
}

/** Whether a text is a valid RE2 regular expression. */
export function isPattern(text: string): boolean {
  try {
    loadRe2().RE2JS.compile(text)
    return true
  } catch {
    return false
  }
}

/** Whether the pattern matches a part of `text`. */
export function matchesPattern(pattern: string, text: string): boolean {
  return loadRe2().RE2JS.compile(pattern).matcher(text).find()
}
