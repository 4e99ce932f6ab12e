import type { WantedPolicy } from '../../clients/monitoring/alert-policy.ts'
import type { Config } from '../../config/config.ts'
import { formatDuration } from '../../duration.ts'
import { formatCommand, shellQuote } from '../../remedies/shell.ts'
import type { MonitorIdentity } from '../identity.ts'

/** The text of a page. Cloud Monitoring fills in the stack and the check. */
type Documentation = WantedPolicy['documentation']

const stack = `\${metric.label.stack}`
const check = `\${metric.label.check}`

export function driftedDocumentation({ alerts }: Config): Documentation {
  return checkDocumentation(alerts, 'DRIFTED', {
    title: `Check ${check} of stack ${stack} has drifted`,
    meaning:
      'The running system differs from the expected state, and no rollout explains the difference. The incident closes automatically after the first cycle that finds the check in sync.',
    remedy: 'Run one of these commands. It prints the differences and, under `fix`, the command that fixes them:',
  })
}

export function unknownDocumentation({ alerts }: Config, unknownAfterMs: number): Documentation {
  return checkDocumentation(alerts, 'UNKNOWN', {
    title: `Check ${check} of stack ${stack} is unknown`,
    meaning: `Driftwatch could not determine the status for ${formatDuration(unknownAfterMs)}. Drift would not be detected. The usual cause is a missing permission, or an API or database that does not respond. An open drift incident stays open.`,
    remedy: 'Run one of these commands. It prints the cause and the remedy under `error`:',
  })
}

export function silentDocumentation(
  { alerts }: Config,
  { project, monitor }: MonitorIdentity,
  silentAfterMs: number,
): Documentation {
  return documentation(alerts, '/drift', {
    subject: `SILENT: monitor ${monitor}`,
    title: `Driftwatch (${monitor}) is silent`,
    scope: ['every stack', 'every check'],
    meaning: `No cycle was completed and published for ${formatDuration(silentAfterMs)}. **Drift is not detected, and no alert will open.** Open incidents stay open.`,
    remedy:
      'Check whether the service is running, and read its log. The usual cause is a new revision that did not start, or a service account without `roles/monitoring.metricWriter`:',
    commands: [logsCommand(project, monitor), curlCommand(alerts.baseUrl, '/health/ready')],
  })
}

interface Page {
  readonly subject: string
  readonly title: string
  readonly scope: readonly [stack: string, check: string]
  readonly meaning: string
  readonly remedy: string
  readonly commands: readonly (string | null)[]
}

function checkDocumentation(
  alerts: Config['alerts'],
  status: string,
  page: Pick<Page, 'title' | 'meaning' | 'remedy'>,
): Documentation {
  return documentation(alerts, `/drift/${stack}`, {
    ...page,
    subject: `${status}: ${check} of ${stack}`,
    scope: [stack, check],
    commands: [
      `driftwatch check --stack ${stack} --only ${check}`,
      curlCommand(alerts.baseUrl, `/drift/${stack}/${check}?format=text`),
    ],
  })
}

/** The links are also in the text: some notification channels do not show the links of a policy. */
function documentation(alerts: Config['alerts'], path: string, page: Page): Documentation {
  const { subject, title, scope, meaning, remedy, commands } = page
  const links = linksOf(alerts, path)
  const paragraphs = [
    `# ${title}`,
    `- stack: **${scope[0]}**\n- check: **${scope[1]}**`,
    meaning,
    `## What to do\n${remedy}\n\n\`\`\`\n${commands.filter(line => line !== null).join('\n')}\n\`\`\``,
    links.map(({ displayName, url }) => `- [${displayName}](${url})`).join('\n'),
  ]
  return { subject, content: paragraphs.filter(text => text !== '').join('\n\n'), links }
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

function linksOf({ baseUrl, runbookUrl }: Config['alerts'], path: string): Documentation['links'] {
  return [
    ...(baseUrl ? [{ displayName: 'Driftwatch report', url: `${baseUrl}${path}` }] : []),
    ...(runbookUrl ? [{ displayName: 'Runbook', url: runbookUrl }] : []),
  ]
}
