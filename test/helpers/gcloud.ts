import { execFile, execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Why gcloud cannot parse command lines here, or false. No Debian package has it. */
export const noGcloud: string | false = findGcloud()

function findGcloud(): string | false {
  try {
    execFileSync('gcloud', ['--version'], { stdio: 'ignore' })
    return false
  } catch {
    return 'gcloud is not installed: its grammar was not checked'
  }
}

/** The gcloud commands in lines of a shell, and in the quoted commands of a text. */
export function gcloudCommands(texts: readonly (string | null)[]): string[] {
  const lines = texts.flatMap(text => text?.split('\n') ?? [])
  const commands = lines.flatMap(line => [line, ...[...line.matchAll(/`([^`]+)`/g)].map(([, quoted = '']) => quoted)])
  const single = commands.flatMap(command => command.split(' && ')).map(command => command.trim())
  const audiences = single.flatMap(command => /\$\((gcloud [^)]*)\)/.exec(command)?.[1] ?? [])
  return [...new Set([...single, ...audiences].filter(command => command.startsWith('gcloud ')))]
}

/**
 * Lets gcloud parse each command, once for each shape; returns its complaints. Without an account it stops after
 * parsing. Its proxy is a closed port of this machine, so that nothing is sent.
 */
export async function complaintsOfGcloud(commands: readonly string[]): Promise<string[]> {
  const distinct = [...new Map(commands.map(command => [shapeOf(command), command])).values()]
  const home = mkdtempSync(join(tmpdir(), 'gcloud-'))
  try {
    const complaints: string[] = []
    for (const command of distinct) complaints.push(...(await parse(command, home)))
    return complaints
  } finally {
    rmSync(home, { recursive: true, force: true })
  }
}

/** Subcommands and flags in their order, without values. */
function shapeOf(command: string): string {
  const [words = ''] = command.split(' --')
  const flags = [...command.matchAll(/ (--[a-z-]+)(=?)/g)].map(([, flag, equals]) => `${flag}${equals}`)
  return [...words.split(' ').slice(0, 5), ...flags].filter(word => /^[a-z-]+=?$/.test(word)).join(' ')
}

/** What gcloud misses once it has parsed a command. */
const afterParsing = /not currently have an active account|Unable to read file/

function parse(command: string, home: string): Promise<string[]> {
  const closed = 'http://127.0.0.1:9'
  const env = {
    PATH: process.env.PATH,
    HOME: home,
    CLOUDSDK_CONFIG: home,
    CLOUDSDK_CORE_PROJECT: 'acme',
    CLOUDSDK_CORE_DISABLE_PROMPTS: '1',
    CLOUDSDK_CORE_DISABLE_USAGE_REPORTING: 'true',
    CLOUDSDK_CORE_CHECK_GCE_METADATA: 'false',
    GCE_METADATA_HOST: '127.0.0.1:9',
    HTTP_PROXY: closed,
    HTTPS_PROXY: closed,
    PASSWORD: 'secret',
    PASSWORD_2: 'secret',
  }
  return new Promise(resolve => {
    execFile('sh', ['-c', `${command} < /dev/null`], { env, timeout: 60_000 }, (_, __, stderr) => {
      resolve(afterParsing.test(stderr) ? [] : [`${command}\n${stderr}`])
    })
  })
}
