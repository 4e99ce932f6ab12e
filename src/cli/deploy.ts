import { DriftwatchError } from '../errors.ts'
import { runDeploy } from '../operate/rollout/deploy.ts'
import { type Command, readWait, single } from './command.ts'
import { readWriteRequest, runWriteCommand, writeHelp, writeOptions } from './write-command.ts'

export const deploy: Command = {
  help: `Usage
  driftwatch deploy [--config FILE] --stack NAME --image IMAGE [--no-traffic] [--wait DURATION] [--dry-run] [--yes]
      [--receipt FILE]

What does it do?
  1. creates a revision of the service with IMAGE, and waits until it is ready
  2. pins the job to the digest of that revision, executes it and follows the execution, like driftwatch migrate
  3. checks the role grants, and then the gate: every check must be in sync
  It stops at the first failed step and prints the commands to roll back.

Which images can I deploy?
  --image IMAGE     an image of an allowed repository (service.repositories); the default is $IMAGE. The command never
                    writes to a registry
  --no-traffic      create the revision without traffic; the job is pinned to it and migrates before traffic is
                    moved. DEPLOY_NO_TRAFFIC=1 is equivalent

Does it wait for after-rollout?
  No. That check needs data from the minutes after the rollout, so the gate opens without it and prints a note.
  --wait DURATION   keep checking until the result is final, at most DURATION (for example 10m), like
                    driftwatch check --wait. The exit code is 3 if a check is still pending then

${writeHelp}`,
  options: {
    ...writeOptions,
    image: { type: 'string' },
    'no-traffic': { type: 'boolean' },
    wait: { type: 'string' },
  },
  async run(values, io) {
    const request = await readWriteRequest('deploy', values, io)
    const { runbook } = request
    const image = single(values, 'image') ?? runbook.image
    if (!image) throw new DriftwatchError('USAGE', 'deploy: --image is missing')
    if (runbook.image !== null && runbook.image !== image)
      throw new DriftwatchError(
        'USAGE',
        `deploy: --image is ${image}, but IMAGE is ${runbook.image}. Pass only one of them.`,
      )
    const waitMs = readWait(values)
    const noTraffic = values['no-traffic'] === true || runbook.noTraffic
    return runWriteCommand(request, io, { image, noTraffic }, operation =>
      runDeploy(operation, { image, noTraffic, gate: runbook.verifiesImages, waitMs }),
    )
  },
}
