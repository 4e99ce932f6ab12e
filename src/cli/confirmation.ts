import { once } from 'node:events'
import { createInterface } from 'node:readline/promises'
import { DriftwatchError } from '../errors.ts'
import type { PlannedStep } from '../operate/rollout/planned-step.ts'
import { shown } from '../printable.ts'
import type { CommandIo } from './command.ts'

/**
 * Shows what would be done and asks whether to go on. Rejects with NOT_CONFIRMED, also where there is nobody to ask. A
 * dry run is a result, and only shown.
 */
export async function askConsent(
  steps: readonly PlannedStep[],
  {
    io,
    title,
    dryRun,
    yes,
  }: { readonly io: CommandIo; readonly title: string; readonly dryRun: boolean; readonly yes: boolean },
): Promise<void> {
  const width = Math.max(...steps.map(({ name }) => name.length))
  const lines = steps.map(({ name, text }, at) => `  ${at + 1}. ${name.padEnd(width)}  ${shown(text)}`)
  const written = [...new Set(steps.flatMap(({ writes }) => writes ?? []))]
  const text = [
    `${title}${dryRun ? ' would (nothing is changed):' : ':'}`,
    ...lines,
    ...(written.length > 0 ? [`  writes to: ${shown(written.join(', '))}`] : []),
    '',
  ].join('\n')
  if (dryRun) io.stdout.write(text)
  else io.stderr.write(text)
  if (dryRun || yes) return
  await assertAgreed(
    io,
    'this changes what runs, and there is no terminal to ask at: nothing was changed; pass --yes to agree beforehand, or --dry-run to see the steps',
  )
}

/** Asks whether to go on. Rejects with NOT_CONFIRMED; `refusal` is what is said where there is nobody to ask. */
export async function assertAgreed(io: CommandIo, refusal: string): Promise<void> {
  if (!io.stdin?.isTTY) throw new DriftwatchError('NOT_CONFIRMED', refusal)
  if (!(await isAgreed(io, io.stdin))) throw new DriftwatchError('NOT_CONFIRMED', 'not agreed: nothing was changed')
}

async function isAgreed({ stderr, signal }: CommandIo, stdin: NodeJS.ReadableStream): Promise<boolean> {
  stderr.write('Go on? [y/N] ')
  // Not as a terminal of its own: Ctrl-C is the process's to hear.
  const lines = createInterface({ input: stdin, terminal: false })
  try {
    // A terminal that is closed (Ctrl-D) answers no question.
    const closed = once(lines, 'close').then(() => '')
    const answer = await Promise.race([lines.question('', { signal }), closed])
    return /^\s*y(es)?\s*$/i.test(answer)
  } catch {
    return false
  } finally {
    lines.close()
  }
}
