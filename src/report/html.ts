import { createHash } from 'node:crypto'
import type { Status } from '../checks/status.ts'
import { printable } from '../printable.ts'
import { html, literal, type Markup } from './markup.ts'
import type { Report, ReportedCheck, ReportedConfig, ReportedDifference, ReportedPlace } from './report.ts'
import {
  age,
  countRows,
  includesMessage,
  inWords,
  lasting,
  type Row,
  rowsOf,
  whenObserved,
  whereDriftwatchIs,
} from './rows.ts'

/** Follows the light or dark setting of the browser. */
const style = `
:root { color-scheme: light dark; --drifted: light-dark(#c4161c, #ff7b72); --unknown: light-dark(#8a3ffc, #d2a8ff);
  --pending: light-dark(#9a6700, #e3b341); --in_sync: light-dark(#1a7f37, #3fb950); --quiet: light-dark(#57606a, #8b949e);
  --line: light-dark(#d0d7de, #30363d); --field: light-dark(#f6f8fa, #161b22); }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 70rem; margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.6rem; margin: 0; } h2 { font-size: 1.1rem; margin: 0; } p { margin: .25rem 0; }
header, article { border-bottom: 1px solid var(--line); padding: 1rem 0; }
b { text-transform: uppercase; } .drifted { color: var(--drifted); } .unknown { color: var(--unknown); }
.pending { color: var(--pending); } .in_sync { color: var(--in_sync); } .quiet, dt, footer { color: var(--quiet); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: .5rem 0; } dd { margin: 0; }
dd, td, pre { overflow-wrap: anywhere; } pre { background: var(--field); padding: .6rem .8rem; white-space: pre-wrap; margin: .5rem 0; }
table { border-collapse: collapse; margin-top: 1rem; width: 100%; } td { padding: .3rem 1rem .3rem 0; vertical-align: top; }
td:first-child, td:nth-child(2) { white-space: nowrap; } footer { margin-top: 1.5rem; } a { color: inherit; }
`

/** The style of the page, for the header Content-Security-Policy. */
export const styleSource = `'sha256-${createHash('sha256').update(style).digest('base64')}'`

/** The page shows at most so many checks, and counts the rest. */
const mostRows = 500

/** The report as a page that reloads every `refreshSeconds`. A check that is in sync takes one row. */
export function renderHtml(report: Report, version: string, refreshSeconds: number): string {
  const rows = rowsOf(report)
  const shown = rows.slice(0, mostRows)
  const wrong = shown.filter(({ check }) => check.status !== 'in_sync')
  const right = shown.filter(({ check }) => check.status === 'in_sync')
  const now = report.generatedAt
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="${refreshSeconds}">
<title>${inWords(report.status)}: Driftwatch</title>
<style>${literal(style)}</style>
</head>
<body>
<header>
<h1>${badge(report.status)} ${countRows(rows, now)}</h1>
<p class="quiet">${whenObserved(report)}</p>
${report.error && html`<p>${report.error.code}: ${printable(report.error.message)}</p>`}
${report.notes.map(note => html`<p>Note: ${printable(note)}</p>`)}
${report.channels.map(channelLine)}
${report.config ? configLines(report.config, now) : null}
${(report.discovery ?? []).map(placeLines)}
</header>
<main>
${wrong.map(row => article(row, now))}
<table>${right.map(row => tableRow(row, now))}</table>
${rows.length > mostRows ? html`<p>${rows.length - mostRows} more checks: see /drift</p>` : null}
</main>
<footer>
Driftwatch ${version}: <a href="/drift">/drift</a> <a href="/drift?format=text">as text</a>
<a href="/drift/gate">gate</a> <a href="/metrics">metrics</a> <a href="/docs/">all paths</a>
<p>${whereDriftwatchIs}</p>
</footer>
</body>
</html>
`
  return page.text
}

function channelLine({ channel, error }: Report['channels'][number]): Markup | null {
  return error && html`<p>Alert channel ${printable(channel)}: ${error.code}: ${printable(error.message)}</p>`
}

function configLines({ error, needRestart }: ReportedConfig, now: string): Markup[] {
  const when = error && age(error.at, now)
  return [
    ...(error ? [html`<p>Configuration rejected ${when}: ${error.code}: ${printable(error.message)}</p>`] : []),
    ...(needRestart.length > 0 ? [html`<p>Changed, restart needed: ${needRestart.join(', ')}</p>`] : []),
  ]
}

/** A place whose stacks are not all known. */
function placeLines({ project, region, status, observedAt, problems, error }: ReportedPlace): Markup | null {
  if (status === 'in_sync' && error === null) return null
  const where = html`${badge(status)} discovery in ${printable(project)}, ${printable(region)}`
  const lines = [
    ...problems.map(({ message }) => message),
    ...(error ? [`${error.code}: ${error.message}`] : []),
    ...(observedAt === null ? ['never listed'] : []),
  ]
  return html`<p>${where}${lines.map(line => html`<br>${printable(line)}`)}</p>`
}

function article({ stack, check }: Row, now: string): Markup {
  return html`<article>
<h2>${badge(check.status)} ${link(stack, check)} ${duration(check, now)}</h2>
<p>${printable(check.summary)}</p>
${check.differences.map(differenceList)}
${noteLines(check)}
${errorLine(check, now)}
${check.fix === null ? null : html`<pre>${check.fix.split('\n').map(printable).join('\n')}</pre>`}
${check.advice === null ? null : html`<p class="quiet">${check.fix === null ? 'To do' : 'Why'}: ${printable(check.advice)}</p>`}
</article>
`
}

function tableRow({ stack, check }: Row, now: string): Markup {
  return html`<tr>
<td>${badge(check.status)}</td><td>${link(stack, check)}</td><td>${printable(check.summary)} ${duration(check, now)}
${noteLines(check)}${errorLine(check, now)}</td>
</tr>
`
}

function badge(status: Status): Markup {
  return html`<b class="${status}">${inWords(status)}</b>`
}

function link(stack: string, { check }: ReportedCheck): Markup {
  const path = `/drift/${encodeURIComponent(stack)}/${encodeURIComponent(check)}?format=text`
  return html`<a href="${path}">${printable(stack)} / ${check}</a>`
}

function duration(check: ReportedCheck, now: string): Markup {
  return html`<span class="quiet">${lasting(check, now)}</span>`
}

function differenceList({ path, kind, expected, actual, via }: ReportedDifference): Markup {
  const row = (term: string, text: string) => html`<dt>${term}</dt><dd>${printable(text)}</dd>`
  return html`<dl>
${row(kind, path)}
${row('expected', expected ?? '(none)')}
${row('actual', actual ?? '(none)')}
${via === null ? null : row('via', via)}
</dl>
`
}

function noteLines({ notes }: ReportedCheck): Markup[] {
  return notes.map(note => html`<p class="quiet">Note: ${printable(note)}</p>`)
}

function errorLine(check: ReportedCheck, now: string): Markup | null {
  const { error, observedAt } = check
  if (error === null) return null
  const detail = includesMessage(check) ? '' : `: ${printable(error.message)}`
  const observed = observedAt === null ? 'never' : age(observedAt, now)
  return html`<p class="quiet">Error: ${error.code} ${age(error.at, now)}${detail}</p>
<p class="quiet">Last observed: ${observed}</p>`
}
