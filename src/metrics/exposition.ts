import type { MetricDefinition } from './definitions.ts'

/** A metric in the Prometheus text format: its description, then its lines, which may be written already. */
export function writeMetric(
  { name, help, type }: MetricDefinition,
  samples: readonly (Buffer | string)[],
): readonly Buffer[] {
  const lines = samples.map(sample => (typeof sample === 'string' ? Buffer.from(sample) : sample))
  return [Buffer.from(`# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`), ...lines, Buffer.from('\n')]
}

/** One line of a metric. */
export function writeSample({ name }: MetricDefinition, labels: string, value: number): string {
  return `${name}${labels === '' ? '' : `{${labels}}`} ${value}\n`
}

/** `stack="runtime",check="job-image"`: what `writeSample` takes. */
export function writeLabels(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${escapeLabel(value)}"`)
    .join(',')
}

function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"')
}
