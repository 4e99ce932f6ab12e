import { formatCommand, shellQuote } from '../../checks/fix.ts'
import type { WantedPolicy } from '../../clients/monitoring/alert-policy.ts'
import type { Config } from '../../config/config.ts'
import { formatDuration } from '../../duration.ts'

/** What an alert says to whoever is woken by it. Cloud Monitoring fills in the stack and the check. */
type Documentation = WantedPolicy['documentation']

const stack = `\${metric.label.stack}`
const check = `\${metric.label.check}`

export function driftedDocumentation({ alerts }: Config): Documentation {
  const { baseUrl } = alerts
  return {
    subject: `DRIFTED: ${check} of ${stack}`,
    content: paragraphs(
      `# ${check} of the stack ${stack} has drifted`,
      `- stack: **${stack}**\n- check: **${check}**`,
      'What runs is proven to differ from what is meant to run. It does not mend itself, and the alert closes by itself one look after it is mended.',
      commands(
        '## The command that mends it',
        'Either of these prints what differs, and under `fix` the command that mends it, pinned to a digest, ready to paste:',
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
      `# ${check} of the stack ${stack} is unknown`,
      `- stack: **${stack}**\n- check: **${check}**`,
      `For ${formatDuration(unknownAfterMs)} Driftwatch could not prove that it is right, nor that it is wrong: a drift would not be seen. Mostly a permission is missing, or an API or a database does not answer. An alert of a drift that was open before stays open.`,
      commands(
        '## The command that mends it',
        'Either of these prints under `error` what keeps it from looking, and what to do:',
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
    subject: `SILENT: the monitor ${monitor} itself`,
    content: paragraphs(
      `# Driftwatch (${monitor}) is silent`,
      '- stack: **every stack**\n- check: **every check**',
      `For ${formatDuration(silentAfterMs)} no cycle was completed, or none could be published: **nobody is watching, and no drift will be told of**. Other alerts keep the state that they had.`,
      commands(
        '## The command that mends it',
        'See whether the service runs and what it says; mostly a new revision did not start, or its service account lost `roles/monitoring.metricWriter`:',
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

/** Over TLS with an identity token: on Cloud Run IAM lets nobody in without one, and elsewhere it is ignored. */
function curlCommand(baseUrl: string | null, path: string): string | null {
  if (baseUrl === null) return null
  const token = baseUrl.startsWith('https://') ? '-H "Authorization: Bearer $(gcloud auth print-identity-token)" ' : ''
  return `curl -sS ${token}${shellQuote(`${baseUrl}${path}`)}`
}

/** What the service logged, in whichever region it runs: whoever applies the policies need not know that. */
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
    ...(baseUrl ? [{ displayName: 'What Driftwatch sees', url: `${baseUrl}${path}` }] : []),
    ...(runbookUrl ? [{ displayName: 'Runbook', url: runbookUrl }] : []),
  ]
}

/** The links once more: not every way of telling somebody shows the policy's own. */
function seeAlso(alerts: Config['alerts'], path?: string): string {
  return links(alerts, path)
    .map(({ displayName, url }) => `- [${displayName}](${url})`)
    .join('\n')
}

function paragraphs(...all: readonly string[]): string {
  return all.filter(text => text !== '').join('\n\n')
}
