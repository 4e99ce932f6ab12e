import { type CheckKind, checkKinds } from '../checks/check.ts'
import { checksOf } from '../checks/checks.ts'
import type { Status } from '../checks/status.ts'
import type { Clock, EpochMs } from '../clock.ts'
import type { Config } from '../config/config.ts'
import { type Environment, readEnvironment } from '../config/environment.ts'
import { loadConfig } from '../config/load.ts'
import { absenceReasons } from '../discovery/discovery.ts'
import { DriftwatchError } from '../errors.ts'
import { silentLog } from '../log.ts'
import { assertWritable, buildReceipt, type Receipt } from '../operate/rollout/receipt.ts'
import { toReceiptSnapshot } from '../operate/rollout/receipt-snapshot.ts'
import { snapshotAll } from '../operate/rollout/stack-snapshot.ts'
import { buildReport, type Report } from '../report/report.ts'
import { renderText } from '../report/text.ts'
import { createWatch, type Watch } from '../watch.ts'
import { type Command, type CommandIo, type OptionValues, readWait, repeated, single } from './command.ts'
import { keepReceipt } from './save-receipt.ts'

/** 1 is also what bad usage and a bad config give: whatever keeps it from knowing. */
const exitCodes: Readonly<Record<Status, number>> = { in_sync: 0, unknown: 1, drifted: 2, pending: 3 }

/** How often \`--wait\` looks again. */
const pollMs = 2000

export const check: Command = {
  help: `Usage
  driftwatch check [--config FILE] [--stack NAME]... [--only CHECK]... [--format text|json] [--wait DURATION] [--receipt FILE]

What does it do?
  It looks once at everything that the config names, prints what it finds, and exits:
    0  in sync
    1  unknown: something could not be looked at, or the config or the command line is wrong
    2  drifted
    3  pending: a rollout or a migration is under way

How do I look at less?
  --stack NAME      only this stack; may be repeated
  --only CHECK      only this check; may be repeated: ${checkKinds.join(', ')}

How do I gate a deploy?
  driftwatch check --wait 10m && deploy
  --wait DURATION   looks again, at most so long (90s, 10m), while the result is pending or unknown

How do other programs read it?
  --format json     the report as GET /drift gives it; the default is a table, coloured on a terminal
                    unless NO_COLOR is set. Results go to stdout, everything else to stderr.

How do I keep what was found?
  --receipt FILE    the report with the images, digests and latest migrations that were there, as JSON
`,
  options: {
    stack: { type: 'string', multiple: true },
    only: { type: 'string', multiple: true },
    format: { type: 'string' },
    wait: { type: 'string' },
    receipt: { type: 'string' },
  },
  async run(values, io) {
    const environment = readEnvironment(io.variables)
    const names = repeated(values, 'stack')
    const loaded = loadConfig({ file: single(values, 'config') ?? environment.configFile, environment })
    const config = selectStacks(loaded, names)
    const only = selectChecks(config, repeated(values, 'only'))
    const { format, waitMs } = readOptions(values)
    const receipt = single(values, 'receipt')
    if (receipt !== null) assertWritable(receipt)
    for (const { name, notes } of config.stacks) for (const note of notes) io.stderr.write(`${name}: ${note}\n`)
    const log = silentLog
    const startedAt = io.clock.now()
    const watch = createWatch({
      config,
      environment,
      clock: io.clock,
      log,
      only,
      names: names.length > 0 ? names : null,
    })
    try {
      const report = await lookUntilSettled(watch, io, waitMs)
      assertFound(names, watch, io.clock)
      const color = io.stdout.isTTY === true && !environment.noColor
      io.stdout.write(format === 'json' ? `${JSON.stringify(report, null, 2)}\n` : renderText(report, { color }))
      const exitCode = exitCodes[report.status]
      if (receipt === null) return exitCode
      const found = {
        config: { ...config, stacks: watch.stacks() },
        environment,
        clock: io.clock,
        only,
        startedAt,
        report,
      }
      return keepReceipt(receipt, await receiptOf(found), exitCode, io.stderr)
    } finally {
      await watch.close()
    }
  },
}

/** Made last: who reads the table need not wait for it. */
async function receiptOf(found: {
  readonly config: Config
  readonly environment: Environment
  readonly clock: Clock
  readonly only: readonly CheckKind[] | null
  readonly startedAt: EpochMs
  readonly report: Report
}): Promise<Receipt> {
  const { config, clock, only, startedAt, report } = found
  const seen = await snapshotAll(config, found)
  return buildReceipt({
    command: 'check',
    dryRun: false,
    exitCode: exitCodes[report.status],
    startedAt,
    endedAt: clock.now(),
    asked: { stacks: config.stacks.map(({ name }) => name), checks: only && [...only], image: null, noTraffic: false },
    error: null,
    steps: [],
    standing: null,
    stacks: seen.map(({ stack, sight: snapshot }) => ({
      name: stack.name,
      before: null,
      after: snapshot && toReceiptSnapshot(stack, snapshot),
    })),
    report: { before: null, after: report },
  })
}

async function lookUntilSettled(watch: Watch, { clock, signal }: CommandIo, waitMs: number): Promise<Report> {
  const until = clock.monotonic() + waitMs
  for (;;) {
    await watch.runCycle()
    const report = buildReport(watch.store.snapshot(clock.now()))
    const settled = report.status === 'in_sync' || report.status === 'drifted'
    const left = until - clock.monotonic()
    if (settled || left <= 0 || signal.aborted) return report
    await clock.sleep(Math.min(pollMs, left), signal).catch(() => {})
  }
}

function readOptions(values: OptionValues): { format: 'text' | 'json'; waitMs: number } {
  const format = single(values, 'format') ?? 'text'
  if (format !== 'text' && format !== 'json')
    throw new DriftwatchError('USAGE', `--format is text or json, not ${JSON.stringify(format)}`)
  return { format, waitMs: readWait(values) ?? 0 }
}

/** Where stacks are discovered all names may be right: then it shows after the first cycle which are not. */
function selectStacks(config: Config, names: readonly string[]): Config {
  if (names.length === 0 || config.discover) return config
  const known = config.stacks.map(stack => stack.name)
  const missing = names.find(name => !known.includes(name))
  if (missing !== undefined) throw noStack(missing, `it has ${known.join(', ')}`)
  return { ...config, stacks: config.stacks.filter(stack => names.includes(stack.name)) }
}

function assertFound(names: readonly string[], watch: Watch, clock: Clock): void {
  const missing = names.find(name => watch.stacks().every(stack => stack.name !== name))
  if (missing === undefined) return
  const reasons = absenceReasons(watch.store.snapshot(clock.now()).discovery, missing)
  throw noStack(missing, reasons.join('; ') || 'no labels name it')
}

function noStack(name: string, why: string): DriftwatchError {
  return new DriftwatchError('STACK_NOT_FOUND', `the config has no stack ${JSON.stringify(name)}: ${why}`)
}

function selectChecks(config: Config, names: readonly string[]): CheckKind[] | null {
  const wrong = names.find(name => !checkKinds.some(kind => kind === name))
  if (wrong !== undefined)
    throw new DriftwatchError(
      'CHECK_NOT_FOUND',
      `there is no check ${JSON.stringify(wrong)}: there are ${checkKinds.join(', ')}`,
    )
  if (names.length === 0) return null
  const only = checkKinds.filter(kind => names.includes(kind))
  const applies =
    config.discover || config.stacks.some(stack => checksOf(stack).some(({ kind }) => only.includes(kind)))
  if (!applies)
    throw new DriftwatchError(
      'CHECK_NOT_FOUND',
      `the config asks for none of ${only.join(', ')}: there is nothing to check`,
    )
  return only
}
