import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { runSql } from '../../sandbox/postgres/sql.ts'
import { startSandbox } from '../../sandbox/sandbox.ts'
import type { Report } from '../../src/report/report.ts'
import { freePort } from '../helpers/free-port.ts'

/** `npm run sandbox`, by its own command line. */
function runSandbox(env: Record<string, string>, ...args: readonly string[]) {
  const child = spawn(process.execPath, ['sandbox/main.ts', ...args], { env: { ...process.env, ...env } })
  const exited = once(child, 'close') as Promise<[number]>
  const stderr = text(child.stderr)
  let stdout = ''
  child.stdout.on('data', chunk => {
    stdout += chunk
  })
  const printed = async (words: string) => {
    while (!stdout.includes(words)) await once(child.stdout, 'data')
    return stdout
  }
  return { child, exited, stderr, printed }
}

t.test('npm run sandbox prints commands to try, accepts scenarios, and Ctrl-C removes everything', async t => {
  const env = { PORT: String(await freePort()) }
  const { child, exited, printed } = runSandbox(env)
  t.teardown(() => child.kill('SIGKILL'))
  const url = `http://127.0.0.1:${env.PORT}`
  const words = await printed('Press Ctrl-C to stop everything')
  t.match(words, `curl 'http://localhost:${env.PORT}/drift?format=text'`)
  const [adminUrl = ''] = /postgres:[^']*(?=')/.exec(words.slice(words.indexOf('DB_ADMIN_URL'))) ?? []
  const [[data]] = (await runSql(adminUrl, 'SHOW data_directory')) as [[string]]

  const scenario = spawn(process.execPath, ['sandbox/scenario.ts', 'job-left-behind'], {
    env: { ...process.env, ...env },
  })
  t.strictSame(await once(scenario, 'close'), [0, null])
  await printed('Scenario job-left-behind')
  const { status, stacks } = (await (await fetch(`${url}/drift`)).json()) as Report
  t.equal(status, 'drifted', 'the command returns after the first complete cycle')

  const shell = ['export ', 'driftwatch() '].map(start => words.split('\n').find(line => line.trim().startsWith(start)))
  const fixes = new Set(stacks.flatMap(({ checks }) => checks.flatMap(({ fix }) => fix ?? [])))
  t.equal(fixes.size, 1)
  const pasted = spawn('/bin/sh', ['-ec', [...shell, ...[...fixes].map(fix => `${fix} --yes`)].join('\n')])
  t.strictSame(await once(pasted, 'close'), [0, null], 'the printed fix can be pasted after the printed lines')

  const later = spawn(process.execPath, ['sandbox/scenario.ts', 'just-deployed'], { env: { ...process.env, ...env } })
  t.strictSame(await once(later, 'close'), [0, null])
  t.equal(((await (await fetch(`${url}/drift`)).json()) as Report).status, 'pending', 'earlier drift is forgotten')

  const second = runSandbox(env)
  t.match(await second.stderr, `Port ${env.PORT} is in use`)
  t.strictSame(await second.exited, [1, null], 'the second sandbox does not start')

  child.kill('SIGINT')
  t.strictSame(await exited, [0, null])
  await t.rejects(fetch(url), 'the service has ended')
  await t.rejects(runSql(adminUrl, 'SELECT 1'), { code: 'ECONNREFUSED' }, 'and PostgreSQL')
  t.notOk(existsSync(data), 'its data is removed')
  const late = spawn(process.execPath, ['sandbox/scenario.ts', 'healthy'], { env: { ...process.env, ...env } })
  t.strictSame(await once(late, 'close'), [1, null], 'no sandbox is found any more')
})

t.test('a failed start reports the reason and leaves nothing', async t => {
  await t.rejects(startSandbox({ port: 0, schedule: 'now and then' }), { message: /exited with code 1[\s\S]*schedule/ })
  await t.rejects(startSandbox({ port: 0, signal: AbortSignal.abort() }), { message: /abort/ })
  const wrongPort = runSandbox({ PORT: 'web' })
  t.equal(await wrongPort.stderr, 'invalid PORT "web": expected a number from 0 to 65535\n')
  t.strictSame(await wrongPort.exited, [1, null])
  const wrongOption = runSandbox({}, '--port')
  t.match(await wrongOption.stderr, "Unknown option '--port'")
  t.strictSame(await wrongOption.exited, [1, null])
})

t.test('--help prints the variables and starts nothing', async t => {
  const { printed, exited } = runSandbox({}, '--help')
  t.match(await printed('DRIFTWATCH_SANDBOX_PG'), 'npm run sandbox')
  t.strictSame(await exited, [0, null])
})

t.test('the end of the service is detected', async t => {
  const sandbox = await startSandbox({ port: 0 })
  t.teardown(() => sandbox.close())
  process.kill(sandbox.service.pid, 'SIGKILL')
  t.equal(await sandbox.service.ended, 'the service was terminated by SIGKILL')
})
