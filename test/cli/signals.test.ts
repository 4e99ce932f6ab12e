import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { type Bench, bench, readReceipt, writes } from '../helpers/operate-bench.ts'

function start(t: Test, { cloudRun, file }: Bench, argv: readonly string[], variables: Record<string, string> = {}) {
  const child = spawn(process.execPath, ['src/main.ts', ...argv, '--config', file], {
    cwd: new URL('../..', import.meta.url),
    env: { ...process.env, CLOUD_RUN_EMULATOR_HOST: cloudRun.host, PORT: '0', ...variables },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  return Object.assign(child, { ended: once(child, 'exit') })
}

t.test('SIGHUP interrupts migrate: it prints what still runs, writes the receipt and exits with 1', async t => {
  const own = await bench(t, { writes: { ...writes, execution: 'never-ends' } })
  const receipt = join(t.testdir({}), 'receipt.json')
  const child = start(t, own, ['migrate', '--yes', '--receipt', receipt])
  let stderr = ''
  let hungUp = false
  child.stderr.on('data', chunk => {
    stderr += chunk
    if (hungUp || !stderr.includes('Waiting for execution to complete.')) return
    hungUp = true
    child.kill('SIGHUP')
  })
  t.strictSame(await child.ended, [1, null], stderr)
  t.match(
    stderr,
    /driftwatch: (INTERRUPTED: )?interrupted: execution runtime-migrate-\w+ is still running in Cloud Run/,
  )
  t.match(readReceipt(t, receipt), { outcome: 'interrupted', standing: { said: /is still running in Cloud Run/ } })
})

t.test('a closed stdout and stderr do not end migrate: it completes and writes the receipt', async t => {
  const own = await bench(t)
  const receipt = join(t.testdir({}), 'receipt.json')
  const child = start(t, own, ['migrate', '--yes', '--receipt', receipt])
  child.stdout.destroy()
  await once(child.stderr, 'data')
  child.stderr.destroy()
  t.strictSame(await child.ended, [0, null])
  t.match(readReceipt(t, receipt), { outcome: 'done', exitCode: 0 })
  t.strictSame(own.writes(), { UpdateJob: 1, RunJob: 1 })
})

t.test('check with a closed stdout ends without a stack trace, with the exit code of the report', async t => {
  const own = await bench(t)
  const child = start(t, own, ['check'])
  child.stdout.destroy()
  const stderr = await text(child.stderr)
  t.strictSame(await child.ended, [0, null], stderr)
  t.notMatch(stderr, /EPIPE|\n\s+at /)
})

t.test('a SIGHUP before serve is ready does not end it', async t => {
  const own = await bench(t)
  // Sends SIGHUP when the modules of the commands are loaded.
  const hook = `import { registerHooks } from 'node:module'
registerHooks({ load(url, context, next) {
  if (/\\/cli\\/(cli|serve)\\.ts$/.test(url)) process.kill(process.pid, 'SIGHUP')
  return next(url, context)
} })`
  const child = start(t, own, ['serve'], {
    NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(hook)}`,
  })
  let log = ''
  const completed = new Promise<void>(resolve => {
    child.stderr.on('data', chunk => {
      log += chunk
      if (log.includes('cycle completed')) resolve()
    })
  })
  await Promise.race([completed, child.ended])
  t.equal(child.exitCode ?? child.signalCode, null, log)
  child.kill('SIGTERM')
  t.strictSame(await child.ended, [0, null], log)
})
