import { once } from 'node:events'
import { createInterface } from 'node:readline/promises'
import { DriftwatchError } from '../errors.ts'
import type { PlannedStep } from '../operate/rollout/planned-step.ts'
import { shown } from '../printable.ts'
import type { CommandIo } from './command.ts'

interface ConfirmOptions {
  readonly io: CommandIo
  readonly title: string
  readonly dryRun: boolean
  readonly yes: boolean
}

/**
 * Prints the steps and asks for confirmation. Rejects with NOT_CONFIRMED if the answer is no or stdin is not a terminal.
 * A dry run prints the steps to stdout and asks nothing.
 */
export async function confirmSteps(
  steps: readonly PlannedStep[],
  { io, title, dryRun, yes }: ConfirmOptions,
): Promise<void> {
  const width = Math.max(...steps.map(({ name }) => name.length))
  const lines = steps.map(({ name, text }, at) => `  ${at + 1}. ${name.padEnd(width)}  ${shown(text)}`)
  const written = [...new Set(steps.flatMap(({ writes }) => writes ?? []))]
  const text = [
    `${title}${dryRun ? ' (dry run, nothing is changed):' : ':'}`,
    ...lines,
    ...(written.length > 0 ? [`  writes to: ${shown(written.join(', '))}`] : []),
    '',
  ].join('\n')
  const output = dryRun ? io.stdout : io.stderr
  output.write(text)
  if (!dryRun && !yes) await assertConfirmed(io, unconfirmed)
}

const unconfirmed =
  'This command changes production and needs confirmation. Nothing was changed. Pass --yes in a non-interactive shell, or --dry-run to print the steps.'

/** Asks for confirmation. Rejects with NOT_CONFIRMED; `refusal` is the message if stdin is not a terminal. */
export async function assertConfirmed(io: CommandIo, refusal: string): Promise<void> {
  if (!io.stdin?.isTTY) throw new DriftwatchError('NOT_CONFIRMED', refusal)
  if (!(await askUser(io, io.stdin))) throw new DriftwatchError('NOT_CONFIRMED', 'not confirmed: nothing was changed')
}

async function askUser({ stderr, signal }: CommandIo, stdin: NodeJS.ReadableStream): Promise<boolean> {
  stderr.write('Continue? [y/N] ')
  // In terminal mode readline would consume Ctrl-C, which the process handles.
  const lines = createInterface({ input: stdin, terminal: false })
  try {
    // Closing the terminal (Ctrl-D) leaves the question unanswered.
    const closed = once(lines, 'close').then(() => '')
    const answer = await Promise.race([lines.question('', { signal }), closed])
    return /^\s*y(es)?\s*$/i.test(answer)
  } catch {
    return false
  } finally {
    lines.close()
  }
}
