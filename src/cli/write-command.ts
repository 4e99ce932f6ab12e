import type { ParseArgsOptionsConfig } from 'node:util'
import { type CheckKind, checkKinds } from '../checks/check.ts'
import type { Config, Stack } from '../config/config.ts'
import { type Environment, readEnvironment } from '../config/environment.ts'
import { loadConfig } from '../config/load.ts'
import { discoverOnce } from '../operate/discovered-config.ts'
import { type Ended, type Operation, operate } from '../operate/rollout/operation.ts'
import { assertWritable, buildReceipt, type Receipt } from '../operate/rollout/receipt.ts'
import { toReceiptSnapshot } from '../operate/rollout/receipt-snapshot.ts'
import { type RunbookVariables, readRunbookVariables } from '../operate/rollout/runbook-variables.ts'
import { shown } from '../printable.ts'
import { renderText } from '../report/text.ts'
import { type CommandIo, type OptionValues, single, tellError } from './command.ts'
import { askConsent } from './confirmation.ts'
import { keepReceipt } from './save-receipt.ts'

/** What every command that writes takes. */
export const writeOptions = {
  stack: { type: 'string' },
  'dry-run': { type: 'boolean' },
  yes: { type: 'boolean', short: 'y' },
  receipt: { type: 'string' },
} as const satisfies ParseArgsOptionsConfig

/** The part of the help that they share. */
export const writeHelp = `What does it ask before it writes?
  It shows its steps and asks. Where there is no terminal it is refused, unless --yes agrees beforehand.
  --dry-run         prints each step and changes nothing; DRY_RUN=1 means the same
  --yes             agrees beforehand
  --receipt FILE    writes what was asked, found and done as JSON, also where it failed; RECEIPT_PATH means the same

How does it end?
  0  done, and in sync
  1  refused, interrupted, or something could not be known: the sentence says what stands
  2  a step failed, or what was found at the end has drifted
  3  done, and something is pending still
`

/** A command that writes to one stack, ready to begin. */
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

/** Reads options, config and the runbook's variables, and discovers stacks; rejects with a coded error where they make no sense. */
export async function readWriteRequest(
  command: 'migrate' | 'deploy',
  values: OptionValues,
  io: CommandIo,
): Promise<WriteRequest> {
  const environment = readEnvironment(io.variables)
  const loaded = loadConfig({ file: single(values, 'config') ?? environment.configFile, environment })
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

const ending = 'ending: what was asked of Cloud Run is waited for, to say what stands; once more ends at once'

/** Runs it, writes the receipt however it ended, and prints what was found. */
export async function runWriteCommand(
  request: WriteRequest,
  io: CommandIo,
  asked: Pick<Receipt['asked'], 'image' | 'noTraffic'>,
  command: (operation: Operation) => Promise<number>,
): Promise<number> {
  const { config, environment, stack, dryRun, yes, runbook } = request
  const say = (line: string) => io.stderr.write(`${shown(line)}\n`)
  io.signal.addEventListener('abort', () => say(ending), { once: true })
  const roles = checkKinds.filter((kind: string): kind is CheckKind => kind === 'role-grants')
  const started = operate(
    {
      config,
      environment,
      stack,
      clock: io.clock,
      signal: io.signal,
      keepsReceipt: request.receipt !== null,
      leaveOut: runbook.verifiesRoles ? [] : roles,
      dryRun,
      say,
      agree: steps => askConsent(steps, { io, title: titleOf(request), dryRun, yes }),
    },
    command,
  )
  const finish = (ended: Ended): number => {
    const code = tell(ended, environment, io)
    return request.receipt === null
      ? code
      : keepReceipt(request.receipt, receiptOf(request, asked, ended), code, io.stderr)
  }
  const cut = () => finish(started.cut())
  io.atOnce?.addEventListener('abort', cut, { once: true })
  const ended = await started.ended
  io.atOnce?.removeEventListener('abort', cut)
  return finish(ended)
}

/** Which stack, and where: a slip of the pen is seen before anything is written. */
function titleOf({ command, stack: { name, project, region } }: WriteRequest): string {
  return `driftwatch ${command}: stack ${name}, project ${project}, region ${region}`
}

function receiptOf(request: WriteRequest, asked: Pick<Receipt['asked'], 'image' | 'noTraffic'>, ended: Ended): Receipt {
  const { stack, command, dryRun } = request
  const { steps, before, after, reportBefore, reportAfter } = ended.record
  return buildReceipt({
    command,
    dryRun,
    exitCode: ended.exitCode,
    startedAt: ended.startedAt,
    endedAt: ended.endedAt,
    asked: { stacks: [stack.name], checks: null, ...asked },
    error: ended.error,
    steps,
    standing: ended.standing,
    stacks: [
      {
        name: stack.name,
        before: before && toReceiptSnapshot(stack, before),
        after: after && toReceiptSnapshot(stack, after),
      },
    ],
    report: { before: reportBefore, after: reportAfter },
  })
}

function tell({ record, error, exitCode }: Ended, { noColor }: Environment, io: CommandIo): number {
  if (record.reportAfter)
    io.stdout.write(renderText(record.reportAfter, { color: io.stdout.isTTY === true && !noColor }))
  if (error) tellError(io, error)
  return exitCode
}
