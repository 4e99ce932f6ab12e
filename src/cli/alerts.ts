import type { AlertsPlan } from '../alerts/policies/inspect.ts'
import type { Config } from '../config/config.ts'
import { type Environment, readEnvironment } from '../config/environment.ts'
import { loadConfig } from '../config/load.ts'
import { DriftwatchError } from '../errors.ts'
import { type AlertsOperation, openAlerts } from '../operate/alerts/alerts.ts'
import type { FailedStep } from '../operate/alerts/apply-alerts.ts'
import { discoverOnce } from '../operate/discovered-config.ts'
import { shown } from '../printable.ts'
import { type Command, type CommandGroup, type CommandIo, type OptionValues, single } from './command.ts'
import { assertAgreed } from './confirmation.ts'

const help = `Usage
  driftwatch alerts plan  [--config FILE] [--project ID] [--service NAME]
  driftwatch alerts apply [--config FILE] [--project ID] [--service NAME] [--yes]

What does it do?
  plan    shows what Cloud Monitoring lacks so that somebody is paged: metrics, alert policies, an uptime check
  apply   shows it, asks, and makes it so; a second time there is nothing to do

What does it touch?
  Only what carries the label driftwatch_monitor=NAME. What somebody else made is left alone, and named.

Whose alerts are they?
  --project ID      the project that holds them; else the one that this runs in, else that of the first stack
  --service NAME    Driftwatch's own Cloud Run service, by whose metrics the policies go; else $K_SERVICE, else driftwatch

How does a pipeline use it?
  --yes             does not ask
  plan exits 0 when nothing is to be done, 2 when something is, and 1 where it could not find out or something is wrong
  that no step mends; apply takes every step that it can, says which failed, and exits 0 when everything is right at its
  end, else 1.
`

const options = { project: { type: 'string' }, service: { type: 'string' } } as const

const plan: Command = {
  help,
  options,
  run: (values, io) =>
    withPlan(values, io, async ({ problems, steps }) => (problems.length > 0 ? 1 : steps.length > 0 ? 2 : 0)),
}

const apply: Command = {
  help,
  options: { ...options, yes: { type: 'boolean', short: 'y' } },
  run: (values, io) => withPlan(values, io, (planned, operation) => applyPlan(operation, planned, values, io)),
}

export const alerts: CommandGroup = { help, commands: { plan, apply } }

/** Plans, shows the plan, and goes on with it. */
async function withPlan(
  values: OptionValues,
  io: CommandIo,
  next: (plan: AlertsPlan, operation: AlertsOperation) => Promise<number>,
): Promise<number> {
  const environment = readEnvironment(io.variables)
  const loaded = loadConfig({ file: single(values, 'config') ?? environment.configFile, environment })
  const config = loaded.alerts.routes.length > 0 ? await withEveryStack(loaded, environment, io) : loaded
  const [project, service] = [single(values, 'project'), checkedService(values)]
  const operation = openAlerts({ config, environment, clock: io.clock, signal: io.signal, project, service })
  try {
    const planned = await operation.plan()
    io.stdout.write(planText(planned))
    return await next(planned, operation)
  } finally {
    await operation.close()
  }
}

/** Routes take stacks by their labels: one that is not known would be left out of its route. */
async function withEveryStack(loaded: Config, environment: Environment, { clock }: CommandIo): Promise<Config> {
  const { config, unlisted } = await discoverOnce(loaded, { environment, clock })
  if (unlisted) throw new DriftwatchError(unlisted.code, `it is not known which stacks there are: ${unlisted.message}`)
  return config
}

const noTerminal =
  'this changes alert policies, and there is no terminal to ask at: nothing was changed; pass --yes to agree beforehand'

async function applyPlan(operation: AlertsOperation, plan: AlertsPlan, values: OptionValues, io: CommandIo) {
  if (plan.steps.length > 0) {
    if (values.yes !== true) await assertAgreed(io, noTerminal)
    const tell = (line: string) => void io.stderr.write(`${shown(line)}\n`)
    const failed = await operation.apply(plan, tell)
    // Another one may have made the same at the same time: what is twice there goes.
    const after = await operation.plan()
    const twice = after.steps.filter(({ kind }) => kind === 'delete-policy' || kind === 'delete-uptime-check')
    failed.push(...(await operation.apply({ ...after, steps: twice }, tell)))
    io.stdout.write(failed.length > 0 ? failureText(failed, plan.steps.length) : 'done\n')
    if (failed.length > 0) return 1
  }
  return plan.problems.length > 0 ? 1 : 0
}

function failureText(failed: readonly FailedStep[], steps: number): string {
  const lines = failed.flatMap(({ step, error }) => [`  ${shown(step.title)}`, `      ${shown(error.message)}`])
  return [`${failed.length} of ${steps} could not be done`, ...lines, ''].join('\n')
}

/** It becomes a part of a filter and a label. */
function checkedService(values: OptionValues): string | null {
  const service = single(values, 'service')
  if (service === null || /^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/.test(service)) return service
  throw new DriftwatchError('USAGE', `--service takes the name of a Cloud Run service, not ${JSON.stringify(service)}`)
}

function planText({ project, monitor, steps, problems, notes }: AlertsPlan): string {
  const todo = steps.flatMap(({ title, details }) => [
    `  ${shown(title)}`,
    ...details.map(detail => `      ${shown(detail)}`),
  ])
  return [
    `alerts of the monitor ${monitor} in the project ${project}`,
    ...(steps.length > 0 ? ['to do', ...todo] : ['nothing to do']),
    ...(problems.length > 0
      ? ['wrong, and not mended by this', ...problems.map(problem => `  ${shown(problem)}`)]
      : []),
    ...(notes.length > 0 ? ['to know', ...notes.map(note => `  ${shown(note)}`)] : []),
    '',
  ].join('\n')
}
