import { globSync, readFileSync } from 'node:fs'
import t from 'tap'
import { complaintsOfGcloud, gcloudCommands, noGcloud } from '../helpers/gcloud.ts'

const top = new URL('../../', import.meta.url)

/** The gcloud commands in the shell blocks of a page, each on one line and with a word for each variable. */
function commandsOf(page: string): string[] {
  const blocks = [...page.matchAll(/```(?:sh|bash|console)\n(.*?)```/gs)].map(([, block = '']) => block)
  const lines = blocks.flatMap(block => block.replaceAll(/\\\n\s*/g, '').split('\n'))
  return (
    lines
      .flatMap(line => line.match(/gcloud (?:'[^']*'|"(?:\$\([^)]*\)|[^"])*"|[^|;&)#'"])*/g) ?? [])
      .map(command => command.replaceAll(/\$\{?[A-Z_]+\}?/g, 'word-1').trim())
      // These wait for a browser, or read the standard input.
      .filter(command => !/ login$| - /.test(command))
  )
}

t.test('gcloud accepts every command in the documents', { skip: noGcloud, timeout: 300_000 }, async t => {
  const pages = globSync('{*.md,docs/**/*.md,deploy/**/*.md}', { cwd: top })
  const commands = pages.flatMap(path => commandsOf(readFileSync(new URL(path, top), 'utf8')))
  t.ok(commands.length > 15, `${commands.length} commands`)
  t.strictSame(await complaintsOfGcloud(commands), [])
})

t.test('a command that gcloud rejects is found', { skip: noGcloud, timeout: 60_000 }, async t => {
  const wrong = 'gcloud run jobs update j --container app --image r/i:1 --region us-central1 --project acme'
  t.match(await complaintsOfGcloud(gcloudCommands([`driftwatch check && ${wrong}`])), [/unrecognized arguments/])
})
