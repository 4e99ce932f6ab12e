import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'

const script = fileURLToPath(new URL('../../bench/soak.ts', import.meta.url))
const length = ['--cycles', '120', '--baseline', '60']

/** The last output of the soak, and its exit code. Runs without the coverage of the tests. */
async function soak(...options: readonly string[]): Promise<{ code: number; text: string }> {
  const { NODE_OPTIONS: _, ...env } = process.env
  const running = promisify(execFile)(process.execPath, [script, ...length, ...options], { env })
  return running.then(
    ({ stdout }) => ({ code: 0, text: stdout }),
    ({ code, stdout, stderr }) => ({ code, text: `${stdout}${stderr}` }),
  )
}

t.test('twice as many cycles use no more memory and handles', async t => {
  const { code, text } = await soak()
  t.comment(text)
  t.equal(code, 0, text)
})

t.test('a leak of memory or handles is detected', async t => {
  const { code, text } = await soak('--plant', 'memory', '--plant', 'handles')
  t.equal(code, 1, text)
  t.match(text, /failed: heap, handles/)
})
