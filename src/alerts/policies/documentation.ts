import type { WantedPolicy } from '../../clients/monitoring/alert-policy.ts'
import type { Config } from '../../config/config.ts'
import { formatDuration } from '../../duration.ts'
import { formatCommand, shellQuote } from '../../remedies/shell.ts'

/** The text of a page. Cloud Monitoring fills in the stack and the check. */
type Documentation = WantedPolicy['documentation']

const stack = `\${metric.label.stack}`
const check = `\${metric.label.check}`

export function driftedDocumentation({ alerts }: Config): Documentation {
  const { baseUrl } = alerts
  return {
    subject: `DRIFTED: ${check} of ${stack}`,
    content: paragraphs(
      `# Check ${check} of stack ${stack} has drifted`,
      `- stack: **${stack}**\n- check: **${check}**`,
      'The running system differs from the expected state, and no rollout explains the difference. The incident closes automatically after the first cycle that finds the check in sync.',
      commands(
        '## What to do',
        'Run one of these commands. It prints the differences and, under `fix`, the command that fixes them:',
        checkCommand(),
        curlCommand(baseUrl, `/drift/${stack}/${check}?format=text`),
      ),
      seeAlso(alerts),
    ),
    links: links(alerts),
  }
}

export function unknownDocumentation({ alerts }: Config, unknownAfterMs: number): Documentation {
  const { baseUrl } = alerts
  return {
    subject: `UNKNOWN: ${check} of ${stack}`,
    content: paragraphs(
      `# Check ${check} of stack ${stack} is unknown`,
      `- stack: **${stack}**\n- check: **${check}**`,
      `Driftwatch could not determine the status for ${formatDuration(unknownAfterMs)}. Drift would not be detected. The usual cause is a missing permission, or an API or database that does not respond. An open drift incident stays open.`,
      commands(
        '## What to do',
        'Run one of these commands. It prints the cause and the remedy under `error`:',
        checkCommand(),
        curlCommand(baseUrl, `/drift/${stack}/${check}?format=text`),
      ),
      seeAlso(alerts),
    ),
    links: links(alerts),
  }
}

export function silentDocumentation(
  { alerts }: Config,
  { project, monitor }: { readonly project: string; readonly monitor: string },
  silentAfterMs: number,
): Documentation {
  return {
    subject: `SILENT: monitor ${monitor}`,
    content: paragraphs(
      `# Driftwatch (${monitor}) is silent`,
      '- stack: **every stack**\n- check: **every check**',
      `No cycle was completed and published for ${formatDuration(silentAfterMs)}. **Drift is not detected, and no alert will open.** Open incidents stay open.`,
      commands(
        '## What to do',
        'Check whether the service is running, and read its log. The usual cause is a new revision that did not start, or a service account without `roles/monitoring.metricWriter`:',
        logsCommand(project, monitor),
        curlCommand(alerts.baseUrl, '/health/ready'),
      ),
      seeAlso(alerts, '/drift'),
    ),
    links: links(alerts, '/drift'),
  }
}

function checkCommand(): string {
  return `driftwatch check --stack ${stack} --only ${check}`
}

/** Over TLS with an identity token, which Cloud Run requires and other hosts ignore. */
function curlCommand(baseUrl: string | null, path: string): string | null {
  if (baseUrl === null) return null
  const token = baseUrl.startsWith('https://') ? '-H "Authorization: Bearer $(gcloud auth print-identity-token)" ' : ''
  return `curl -sS ${token}${shellQuote(`${baseUrl}${path}`)}`
}

/** Reads the log of the service in any region: `alerts apply` does not know the region. */
function logsCommand(project: string, monitor: string): string {
  const filter = `resource.type="cloud_run_revision" AND resource.labels.service_name="${monitor}"`
  const format = 'value(timestamp,severity,jsonPayload.message,textPayload)'
  return formatCommand('gcloud', 'logging', 'read', filter, '--project', project, '--limit', '50', '--format', format)
}

function commands(heading: string, text: string, ...lines: readonly (string | null)[]): string {
  return `${heading}\n${text}\n\n\`\`\`\n${lines.filter(line => line !== null).join('\n')}\n\`\`\``
}

function links({ baseUrl, runbookUrl }: Config['alerts'], path = `/drift/${stack}`): Documentation['links'] {
  return [
    ...(baseUrl ? [{ displayName: 'Driftwatch report', url: `${baseUrl}${path}` }] : []),
    ...(runbookUrl ? [{ displayName: 'Runbook', url: runbookUrl }] : []),
  ]
}

/** The links again as text: some notification channels do not show the links of a policy. */
function seeAlso(alerts: Config['alerts'], path?: string): string {
  return links(alerts, path)
    .map(({ displayName, url }) => `- [${displayName}](${url})`)
    .join('\n')
}

function paragraphs(...all: readonly string[]): string {
  return all.filter(text => text !== '').join('\n\n')
}
