import { type CheckKind, checkKinds } from '../checks/check.ts'
import { checksOf } from '../checks/checks.ts'
import { exitCodes } from '../checks/status.ts'
import type { Clock, EpochMs } from '../clock.ts'
import type { Config } from '../config/config.ts'
import { readEnvironment } from '../config/environment.ts'
import { loadConfig } from '../config/load.ts'
import { absenceReasons } from '../discovery/discovery.ts'
import { DriftwatchError } from '../errors.ts'
import { silentLog } from '../log.ts'
import { assertWritable } from '../operate/receipt-file.ts'
import { createResultWait } from '../operate/result-wait.ts'
import { buildReceipt, type Receipt } from '../operate/rollout/receipt.ts'
import { snapshotAll } from '../operate/rollout/stack-snapshot.ts'
import { shown } from '../printable.ts'
import { buildReport, type Report } from '../report/report.ts'
import { renderText } from '../report/text.ts'
import { didYouMean } from '../suggestion.ts'
import { createWatch, type Watch } from '../watch.ts'
import { type Command, type CommandIo, type OptionValues, readWait, repeated, single } from './command.ts'
import { saveReceipt } from './save-receipt.ts'

/** The pause between two cycles of `--wait`. */
const pauseMs = 2000

export const check: Command = {
  help: `Usage
  driftwatch check [--config FILE] [--stack NAME]... [--only CHECK]... [--format text|json]
                   [--wait DURATION] [--receipt FILE]

What does it do?
  It runs every check once, prints the report, and exits with 0 only if every check is in sync:
    0  in sync
    1  unknown: a probe failed, or the configuration or the command line is invalid
    2  drifted
    3  pending: a rollout or a migration is in progress

How do I run fewer checks?
  --stack NAME      check only this stack; repeatable
  --only CHECK      run only this check; repeatable. One of
                    ${checkKinds.slice(0, 4).join(', ')},
                    ${checkKinds.slice(4).join(', ')}

How do I use it in a pipeline?
  driftwatch check --wait 10m && deploy
  --wait DURATION   keep checking until the result is final, at most DURATION (for example 10m). It waits while a
                    check is pending, or unknown because of an error that may pass, and prints on stderr what it waits
                    for. It ends at once if waiting cannot change the result, for example if a permission is missing

How do other programs read the result?
  --format json     print the report in the format of GET /drift. The default is text, with colors on a terminal
                    unless NO_COLOR is set. The report goes to stdout, everything else to stderr

How do I keep a record?
  --receipt FILE    write the report, and the images, digests and latest migrations of each stack, as JSON
`,
  options: {
    stack: { type: 'string', multiple: true },
    only: { type: 'string', multiple: true },
    format: { type: 'string' },
    wait: { type: 'string' },
    receipt: { type: 'string' },
  },
  async run(values, io) {
    const environment = readEnvironment(io.variables, single(values, 'config'))
    const names = repeated(values, 'stack')
    const loaded = loadConfig({ file: environment.configFile, environment })
    const config = selectStacks(loaded, names)
    const only = readOnlyOption(config, repeated(values, 'only'))
    const format = readFormat(values)
    const waitMs = readWait(values) ?? 0
    const receipt = single(values, 'receipt')
    if (receipt !== null) assertWritable(receipt)
    for (const { name, notes } of config.stacks) for (const note of notes) io.stderr.write(`${name}: ${note}\n`)
    const { clock } = io
    const startedAt = clock.now()
    const selected = names.length > 0 ? names : null
    const watch = createWatch({ config, environment, clock, log: silentLog, only, names: selected })
    try {
      const report = await checkUntilFinal(watch, io, waitMs)
      assertFound(names, watch, clock)
      const color = io.stdout.isTTY === true && !environment.noColor
      io.stdout.write(format === 'json' ? `${JSON.stringify(report, null, 2)}\n` : renderText(report, { color }))
      const exitCode = exitCodes[report.status]
      if (receipt === null) return exitCode
      // The report is printed, so it does not wait for the snapshots.
      const stacks = await snapshotAll({ ...config, stacks: watch.stacks() }, { environment, clock })
      const content = receiptOf(stacks, { startedAt, endedAt: clock.now(), only, report })
      return saveReceipt(receipt, content, exitCode, io.stderr)
    } finally {
      await watch.close()
    }
  },
}

function receiptOf(
  stacks: Awaited<ReturnType<typeof snapshotAll>>,
  { only, report, ...times }: { startedAt: EpochMs; endedAt: EpochMs; only: CheckKind[] | null; report: Report },
): Receipt {
  return buildReceipt({
    ...times,
    command: 'check',
    dryRun: false,
    exitCode: exitCodes[report.status],
    asked: { stacks: stacks.map(({ stack }) => stack.name), checks: only, image: null, noTraffic: false },
    error: null,
    steps: [],
    changeStatus: null,
    stacks: stacks.map(({ stack, snapshot }) => ({ stack, before: null, after: snapshot })),
    report: { before: null, after: report },
  })
}

async function checkUntilFinal(watch: Watch, { clock, signal, stderr }: CommandIo, waitMs: number): Promise<Report> {
  const until = clock.monotonic() + waitMs
  const isFinal = createResultWait(waitMs > 0 ? line => stderr.write(`${shown(line)}\n`) : () => {})
  for (;;) {
    await watch.runCycle()
    const report = buildReport(watch.store.snapshot(clock.now()))
    const remainingMs = until - clock.monotonic()
    if (isFinal(report, remainingMs) || remainingMs <= 0 || signal.aborted) return report
    await clock.sleep(Math.min(pauseMs, remainingMs), signal).catch(() => {})
  }
}

function readFormat(values: OptionValues): 'text' | 'json' {
  const format = single(values, 'format') ?? 'text'
  if (format === 'text' || format === 'json') return format
  throw new DriftwatchError(
    'USAGE',
    `invalid --format ${JSON.stringify(format)}: expected text or json${didYouMean(format, ['text', 'json'])}`,
  )
}

/** With discovery, unknown names are detected by `assertFound` after the first cycle. */
function selectStacks(config: Config, names: readonly string[]): Config {
  if (names.length === 0 || config.discover) return config
  const known = config.stacks.map(stack => stack.name)
  const missing = names.find(name => !known.includes(name))
  if (missing !== undefined)
    throw stackNotFound(
      missing,
      `the configured stacks are ${known.map(name => JSON.stringify(name)).join(', ')}${didYouMean(missing, known)}`,
    )
  return { ...config, stacks: config.stacks.filter(stack => names.includes(stack.name)) }
}

function assertFound(names: readonly string[], watch: Watch, clock: Clock): void {
  const missing = names.find(name => watch.stacks().every(stack => stack.name !== name))
  if (missing === undefined) return
  const reasons = absenceReasons(watch.store.snapshot(clock.now()).discovery, missing)
  const known = watch.stacks().map(stack => stack.name)
  throw stackNotFound(missing, `${reasons.join('; ') || 'no labels match this name'}${didYouMean(missing, known)}`)
}

function stackNotFound(name: string, reason: string): DriftwatchError {
  return new DriftwatchError('STACK_NOT_FOUND', `stack ${JSON.stringify(name)} not found: ${reason}`)
}

function readOnlyOption(config: Config, names: readonly string[]): CheckKind[] | null {
  const unknown = names.find(name => !checkKinds.some(kind => kind === name))
  if (unknown !== undefined)
    throw checkNotFound(
      `unknown check ${JSON.stringify(unknown)}: expected one of ${checkKinds.join(', ')}${didYouMean(unknown, checkKinds)}`,
    )
  if (names.length === 0) return null
  const only = checkKinds.filter(kind => names.includes(kind))
  if (config.discover || config.stacks.flatMap(checksOf).some(({ kind }) => only.includes(kind))) return only
  throw checkNotFound(`no stack in the configuration defines ${only.join(', ')}: nothing to check`)
}

function checkNotFound(message: string): DriftwatchError {
  return new DriftwatchError('CHECK_NOT_FOUND', message)
}
