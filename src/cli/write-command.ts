import type { ParseArgsOptionsConfig } from 'node:util'
import type { Config, Stack } from '../config/config.ts'
import { type Environment, readEnvironment } from '../config/environment.ts'
import { loadConfig } from '../config/load.ts'
import { discoverOnce } from '../operate/discovered-config.ts'
import { assertWritable } from '../operate/receipt-file.ts'
import { type Ended, type Operation, operate } from '../operate/rollout/operation.ts'
import { buildReceipt, type Receipt } from '../operate/rollout/receipt.ts'
import { type RunbookVariables, readRunbookVariables } from '../operate/rollout/runbook-variables.ts'
import { shown } from '../printable.ts'
import { renderText } from '../report/text.ts'
import { type CommandIo, type OptionValues, printError, single } from './command.ts'
import { confirmSteps } from './confirmation.ts'
import { saveReceipt } from './save-receipt.ts'

/** The options of every command that writes. */
export const writeOptions = {
  stack: { type: 'string' },
  'dry-run': { type: 'boolean' },
  yes: { type: 'boolean', short: 'y' },
  receipt: { type: 'string' },
} as const satisfies ParseArgsOptionsConfig

/** The part of the help that these commands share. */
export const writeHelp = `How do I confirm, or try it first?
  The command prints its steps and asks for confirmation before it changes anything.
  --yes             do not ask. Required in a non-interactive shell
  --dry-run         print the steps and change nothing. DRY_RUN=1 is equivalent
  --receipt FILE    write a JSON record of the request, the steps and the results, also after a failure. RECEIPT_PATH
                    is equivalent

What are the exit codes?
  0  done, and in sync
  1  refused, interrupted, or the result is unknown; the message lists the changes made so far
  2  a step failed, or the final check found drift
  3  done, but a check is still pending
`

/** A command that writes to one stack, ready to start. */
export interface WriteRequest {
  readonly command: 'migrate' | 'deploy'
  readonly config: Config
  readonly environment: Environment
  readonly stack: Stack
  readonly runbook: RunbookVariables
  readonly dryRun: boolean
  readonly yes: boolean
  readonly receipt: string | null
}

/** Reads options, configuration and runbook variables, and discovers stacks. Rejects with a DriftwatchError if invalid. */
export async function readWriteRequest(
  command: 'migrate' | 'deploy',
  values: OptionValues,
  io: CommandIo,
): Promise<WriteRequest> {
  const environment = readEnvironment(io.variables, single(values, 'config'))
  const loaded = loadConfig({ file: environment.configFile, environment })
  const { config, select } = await discoverOnce(loaded, { environment, clock: io.clock })
  const stack = select(command, single(values, 'stack'))
  const runbook = readRunbookVariables(environment.variables, stack)
  const receipt = single(values, 'receipt') ?? runbook.receipt
  if (receipt !== null) assertWritable(receipt)
  return {
    command,
    config: { ...config, stacks: [stack] },
    environment,
    stack,
    runbook,
    dryRun: values['dry-run'] === true || runbook.dryRun,
    yes: values.yes === true,
    receipt,
  }
}

type Asked = Pick<Receipt['asked'], 'image' | 'noTraffic'>

const interruptNotice =
  'interrupting: waiting for the current Cloud Run request; press Ctrl-C again to exit immediately'

/** Runs the command, prints the outcome, and writes the receipt even if the command failed. */
export async function runWriteCommand(
  request: WriteRequest,
  io: CommandIo,
  asked: Asked,
  command: (operation: Operation) => Promise<number>,
): Promise<number> {
  const { command: name, config, environment, stack, dryRun, yes, runbook } = request
  // It names the stack and its place, so that a mistake is visible before anything is written.
  const title = `driftwatch ${name}: stack ${stack.name}, project ${stack.project}, region ${stack.region}`
  const print = (line: string) => io.stderr.write(`${shown(line)}\n`)
  io.signal.addEventListener('abort', () => print(interruptNotice), { once: true })
  const started = operate(
    {
      config,
      environment,
      stack,
      clock: io.clock,
      signal: io.signal,
      writesReceipt: request.receipt !== null,
      skipChecks: runbook.verifiesRoles ? [] : ['role-grants'],
      dryRun,
      print,
      confirm: steps => confirmSteps(steps, { io, title, dryRun, yes }),
    },
    command,
  )
  const finish = (ended: Ended): number => {
    const { log, error, exitCode } = ended
    const color = io.stdout.isTTY === true && !environment.noColor
    if (log.reportAfter) io.stdout.write(renderText(log.reportAfter, { color }))
    if (error) printError(io, error)
    if (request.receipt === null) return exitCode
    return saveReceipt(request.receipt, receiptOf(request, asked, ended), exitCode, io.stderr)
  }
  const finishNow = () => finish(started.endNow())
  io.immediate?.addEventListener('abort', finishNow, { once: true })
  const ended = await started.ended
  io.immediate?.removeEventListener('abort', finishNow)
  return finish(ended)
}

function receiptOf(request: WriteRequest, asked: Asked, ended: Ended): Receipt {
  const { stack, command, dryRun } = request
  const { log, ...outcome } = ended
  const { steps, before, after, reportBefore, reportAfter } = log
  return buildReceipt({
    ...outcome,
    command,
    dryRun,
    asked: { stacks: [stack.name], checks: null, ...asked },
    steps,
    stacks: [{ stack, before, after }],
    report: { before: reportBefore, after: reportAfter },
  })
}
