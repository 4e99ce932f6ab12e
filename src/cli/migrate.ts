import { migrate as migrateStack } from '../operate/rollout/migrate.ts'
import type { Command } from './command.ts'
import { readWriteRequest, runWriteCommand, writeHelp, writeOptions } from './write-command.ts'

export const migrate: Command = {
  help: `Usage
  driftwatch migrate [--config FILE] --stack NAME [--dry-run] [--yes] [--receipt FILE]

What does it do?
  1. locks the job to the image that serves, by its digest, with the command and args of the config, and verifies it
  2. executes the job and follows the execution: what Cloud Run says of it, and how it ended
  3. checks the stack again, as driftwatch check does

When does it refuse?
  While the service reconciles or traffic is split between images, and where a migration runs with another image. One
  that runs with the right image already is followed, and not started a second time.

What if I press Ctrl-C?
  What runs in Cloud Run runs on: it says what that is, how to see it and how to stop it.

${writeHelp}`,
  options: writeOptions,
  async run(values, io) {
    const request = await readWriteRequest('migrate', values, io)
    const { image } = request.runbook
    return runWriteCommand(request, io, { image, noTraffic: false }, operation => migrateStack(operation, { image }))
  },
}
