import { readFileSync } from 'node:fs'
import type { Test } from 'tap'
import { Document } from 'yaml'
import { DriftwatchError, type ErrorCode } from '../../src/errors.ts'

export const top = new URL('../../', import.meta.url)
export const read = (path: string) => readFileSync(new URL(path, top), 'utf8')

/** A reference to a variable. The linter would report a literal one as a wrong template. */
export const ref = (content: string) => `\${${content}}`

/** A config with one stack: the required keys and these. */
export function buildConfig(parts: object = {}, top: object = {}): string {
  const stack = { name: 'runtime', project: 'acme', region: 'us-central1', service: { name: 'runtime' }, ...parts }
  return new Document({ ...top, stacks: [stack] }).toString()
}

/** The message of the error that `act` throws. Fails the test if it does not throw a DriftwatchError with this code. */
export function catchMessage(t: Test, code: ErrorCode, act: () => unknown): string {
  try {
    act()
  } catch (error) {
    if (!(error instanceof DriftwatchError)) throw error
    t.equal(error.code, code)
    return error.message
  }
  t.fail('nothing was thrown')
  return ''
}
