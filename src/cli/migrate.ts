import { runMigrate } from '../operate/rollout/migrate.ts'
import type { Command } from './command.ts'
import { readWriteRequest, runWriteCommand, writeHelp, writeOptions } from './write-command.ts'

export const migrate: Command = {
  help: `Usage
  driftwatch migrate [--config FILE] --stack NAME [--dry-run] [--yes] [--receipt FILE]

What does it do?
  1. pins the job to the digest of the image in service, with the command and args of the configuration, and verifies
     the update
  2. executes the job and follows the execution until it ends
  3. checks the stack again, like driftwatch check

When does it refuse to run?
  While the service is reconciling, while traffic is split between different images, and while a migration with
  another image is running. A running migration with the right image is followed and not started again.

What happens on Ctrl-C?
  A running execution continues in Cloud Run. The command prints how to inspect and how to cancel it.

${writeHelp}`,
  options: writeOptions,
  async run(values, io) {
    const request = await readWriteRequest('migrate', values, io)
    const { image } = request.runbook
    return runWriteCommand(request, io, { image, noTraffic: false }, operation => runMigrate(operation, { image }))
  },
}
