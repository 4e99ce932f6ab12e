import { readEnvironment } from '../config/environment.ts'
import { loadConfig } from '../config/load.ts'
import { printConfig } from '../config/print-config.ts'
import { type Command, single } from './command.ts'

export const config: Command = {
  help: `Usage
  driftwatch config [--config FILE]

Is my config right?
  All its problems are printed at once, each with its line and path, and the exit code is 1.

What does it come to?
  Otherwise it is printed as YAML: defaults filled in, \${VARIABLES} resolved, secrets masked.
`,
  options: {},
  async run(values, io) {
    const environment = readEnvironment(io.variables)
    const loaded = loadConfig({ file: single(values, 'config') ?? environment.configFile, environment })
    io.stdout.write(printConfig(loaded))
    for (const { name, notes } of loaded.stacks) for (const note of notes) io.stderr.write(`${name}: ${note}\n`)
    return 0
  },
}
