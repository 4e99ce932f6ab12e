import { DriftwatchError } from '../errors.ts'
import { deploy as deployStack } from '../operate/rollout/deploy.ts'
import type { Command } from './command.ts'
import { readWait, single } from './command.ts'
import { readWriteRequest, runWriteCommand, writeHelp, writeOptions } from './write-command.ts'

export const deploy: Command = {
  help: `Usage
  driftwatch deploy [--config FILE] --stack NAME --image IMAGE [--no-traffic] [--wait DURATION] [--dry-run] [--yes]
      [--receipt FILE]

What does it do?
  1. makes a revision of the service with IMAGE, and waits until it is ready
  2. locks the job to the digest of that revision, executes it and follows it, as driftwatch migrate does
  3. judges the role grants, and then everything: the gate
  It stops at the first step that fails, and says how to go back.

Which image may I deploy?
  One of the repositories that the config allows (service.repositories); $IMAGE is taken where --image is not given.
  Nothing is pushed: no tag of a registry is ever written.
  --no-traffic      all traffic stays where it is; the job is still locked to the new revision, and migrates ahead of
                    it. DEPLOY_NO_TRAFFIC=1 means the same

What of the minutes after the rollout?
  after-rollout cannot be judged before they are over: the gate opens without it, and says so.
  --wait DURATION   checks on, at most so long (10m), while the result is pending or unknown; what is pending then is 3

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
    if (!image) throw new DriftwatchError('USAGE', 'deploy: --image is missing: name the image to deploy')
    if (runbook.image !== null && runbook.image !== image)
      throw new DriftwatchError(
        'USAGE',
        `deploy: --image is ${image}, and IMAGE is ${runbook.image}: which one is meant?`,
      )
    const waitMs = readWait(values)
    const noTraffic = values['no-traffic'] === true || runbook.noTraffic
    return runWriteCommand(request, io, { image, noTraffic }, operation =>
      deployStack(operation, { image, noTraffic, gate: runbook.verifiesImages, waitMs }),
    )
  },
}
