import { readEnvironment } from '../config/environment.ts'
import { loadConfig } from '../config/load.ts'
import { printConfig } from '../config/print-config.ts'
import { type Command, single } from './command.ts'

export const config: Command = {
  help: `Usage
  driftwatch config [--config FILE]

What does it do?
  It validates the configuration and prints it as YAML, with defaults filled in, \${VARIABLES} resolved and secrets
  masked. If the configuration is invalid, it prints every problem with its line and path.

What are the exit codes?
  0  the configuration is valid
  1  the configuration is invalid or cannot be read
`,
  options: {},
  async run(values, io) {
    const environment = readEnvironment(io.variables, single(values, 'config'))
    const loaded = loadConfig({ file: environment.configFile, environment })
    io.stdout.write(printConfig(loaded))
    for (const { name, notes } of loaded.stacks) for (const note of notes) io.stderr.write(`${name}: ${note}\n`)
    return 0
  },
}
