import { once } from 'node:events'
import { createInterface } from 'node:readline/promises'
import { printable } from '../drift/text.ts'
import { DriftwatchError } from '../errors.ts'
import type { PlannedStep } from '../operate/plan.ts'
import type { CommandIo } from './command.ts'

export interface ConsentRequest {
  readonly io: CommandIo
  /** What is about to be done. */
  readonly title: string
  /** Only shown, as a result. */
  readonly dryRun: boolean
  /** Agreed to beforehand. */
  readonly yes: boolean
}

/** Shows steps, and resolves once somebody agrees to them. Rejects with NOT_CONFIRMED, also where nobody can be asked. */
export async function askConsent(
  steps: readonly PlannedStep[],
  { io, title, dryRun, yes }: ConsentRequest,
): Promise<void> {
  const shown = steps.map(({ name, text }, index) => `  ${index + 1}. ${name}: ${printable(text)}\n`).join('')
  const stream = dryRun ? io.stdout : io.stderr
  stream.write(`${title}${dryRun ? ' would (nothing is changed)' : ''}:\n${shown}`)
  if (dryRun || yes || (await saysYes(io))) return
  throw new DriftwatchError('NOT_CONFIRMED', 'nobody said yes: nothing was changed')
}

async function saysYes({ stdin, stderr, signal }: CommandIo): Promise<boolean> {
  if (!stdin?.isTTY)
    throw new DriftwatchError(
      'NOT_CONFIRMED',
      'there is no terminal to ask at, so nothing was changed: --yes agrees beforehand, --dry-run only shows the steps',
    )
  stderr.write('Go on? [y/N] ')
  const reader = createInterface({ input: stdin, terminal: false })
  try {
    const end = once(reader, 'close').then(() => '')
    const answer = await Promise.race([reader.question('', { signal }), end])
    return /^\s*y(es)?\s*$/i.test(answer)
  } catch {
    return false
  } finally {
    reader.close()
  }
}
