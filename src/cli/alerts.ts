import type { AlertsPlan } from '../alerts/policies/inspect.ts'
import type { Config } from '../config/config.ts'
import { type Environment, readEnvironment } from '../config/environment.ts'
import { loadConfig } from '../config/load.ts'
import { DriftwatchError } from '../errors.ts'
import { type AlertsOperation, openAlerts } from '../operate/alerts/open-alerts.ts'
import { discoverOnce } from '../operate/discovered-config.ts'
import { shown } from '../printable.ts'
import { type Command, type CommandGroup, type CommandIo, type OptionValues, single } from './command.ts'
import { assertConfirmed } from './confirmation.ts'

const whatChanges = `What can it change?
  Only resources with the user label driftwatch_monitor=NAME. Other resources are never changed; one with the same
  name as ours is listed.

`

const whichMonitor = `Which monitor do the alerts belong to?
  --project ID      the project that holds the metrics and policies (default: the project that this command runs in,
                    or the project of the first stack)
  --service NAME    the Cloud Run service that runs Driftwatch; the policies watch its metrics (default: $K_SERVICE,
                    or driftwatch)

`

const help = `Usage
  driftwatch alerts plan  [--config FILE] [--project ID] [--service NAME]
  driftwatch alerts apply [--config FILE] [--project ID] [--service NAME] [--yes]

What does it do?
  plan    compares Cloud Monitoring with the configuration and prints the missing or different metrics, alert policies
          and uptime check
  apply   prints the plan, asks for confirmation, and applies it. A second run changes nothing

${whatChanges}${whichMonitor}How do I use it in a pipeline?
  --yes             do not ask for confirmation

What are the exit codes?
  plan     0  nothing to change
           2  changes are needed
           1  the plan failed, or there is a problem that apply cannot fix
  apply    0  everything matches the configuration
           1  a step failed, or a problem remains. A failed step does not stop the other steps
`

const planHelp = `Usage
  driftwatch alerts plan [--config FILE] [--project ID] [--service NAME]

What does it do?
  It compares Cloud Monitoring with the configuration and prints the missing or different metrics, alert policies and
  uptime check. It changes nothing.

${whichMonitor}What are the exit codes?
  0  nothing to change
  2  changes are needed
  1  the plan failed, or there is a problem that apply cannot fix
`

const applyHelp = `Usage
  driftwatch alerts apply [--config FILE] [--project ID] [--service NAME] [--yes]

What does it do?
  It prints the plan of driftwatch alerts plan, asks for confirmation, and applies it. A second run changes nothing.

${whatChanges}${whichMonitor}How do I use it in a pipeline?
  --yes             do not ask for confirmation

What are the exit codes?
  0  everything matches the configuration
  1  a step failed, or a problem remains. A failed step does not stop the other steps
`

const options = { project: { type: 'string' }, service: { type: 'string' } } as const

const plan: Command = {
  help: planHelp,
  options,
  run: (values, io) =>
    withPlan(values, io, async ({ problems, steps }) => (problems.length > 0 ? 1 : steps.length > 0 ? 2 : 0)),
}

const apply: Command = {
  help: applyHelp,
  options: { ...options, yes: { type: 'boolean', short: 'y' } },
  run: (values, io) => withPlan(values, io, (planned, operation) => applyPlan(operation, planned, values, io)),
}

export const alerts: CommandGroup = { help, commands: { plan, apply } }

/** Computes the plan, prints it, and passes it to `next`. */
async function withPlan(
  values: OptionValues,
  io: CommandIo,
  next: (plan: AlertsPlan, operation: AlertsOperation) => Promise<number>,
): Promise<number> {
  const environment = readEnvironment(io.variables, single(values, 'config'))
  const loaded = loadConfig({ file: environment.configFile, environment })
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

/** Routes select stacks by label, so every stack must be known before the policies are planned. */
async function withEveryStack(loaded: Config, environment: Environment, { clock }: CommandIo): Promise<Config> {
  const { config, unlisted } = await discoverOnce(loaded, { environment, clock })
  if (unlisted) throw new DriftwatchError(unlisted.code, `cannot list the stacks to route: ${unlisted.message}`)
  return config
}

const unconfirmed =
  'This command changes alert policies and needs confirmation. Nothing was changed. Pass --yes in a non-interactive shell.'

async function applyPlan(operation: AlertsOperation, plan: AlertsPlan, values: OptionValues, io: CommandIo) {
  if (plan.steps.length > 0) {
    if (values.yes !== true) await assertConfirmed(io, unconfirmed)
    const print = (line: string) => void io.stderr.write(`${shown(line)}\n`)
    const failed = await operation.apply(plan, print)
    const reasons = failed.flatMap(({ step, error }) => [step.title, `    ${error.message}`])
    const result = section(`${failed.length} of ${plan.steps.length} steps failed`, reasons)
    io.stdout.write(failed.length > 0 ? `${result.join('\n')}\n` : 'done\n')
    if (failed.length > 0) return 1
  }
  return plan.problems.length > 0 ? 1 : 0
}

/** The name becomes part of a filter and a label. */
function checkedService(values: OptionValues): string | null {
  const service = single(values, 'service')
  if (service === null || /^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/.test(service)) return service
  throw new DriftwatchError(
    'USAGE',
    `invalid --service ${JSON.stringify(service)}: expected the name of a Cloud Run service`,
  )
}

function planText({ project, monitor, steps, problems, notes }: AlertsPlan): string {
  const changes = steps.flatMap(({ title, details }) => [title, ...details.map(detail => `    ${detail}`)])
  return [
    `Alerts of monitor ${monitor} in project ${project}`,
    ...(steps.length > 0 ? section('Changes', changes) : ['No changes']),
    ...section('Problems to fix by hand', problems),
    ...section('Notes', notes),
    '',
  ].join('\n')
}

function section(heading: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [heading, ...lines.map(line => `  ${shown(line)}`)]
}
