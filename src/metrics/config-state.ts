import type { Snapshot } from '../drift/store.ts'
import { metricDefinitions } from './definitions.ts'

/** How the config file stands, in the exposition format. */
export function renderConfigMetric({ config }: Snapshot): string {
  const { name, help, type } = metricDefinitions.configRefused
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${name} ${config?.error ? 1 : 0}\n\n`
}
