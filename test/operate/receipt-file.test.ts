import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { assertWritable, writeReceipt } from '../../src/operate/receipt-file.ts'
import type { Receipt } from '../../src/operate/rollout/receipt.ts'

const receipt = { kind: 'Receipt' } as Receipt

t.test('a receipt replaces only a regular file', async t => {
  const folder = t.testdir({ directory: {} })
  const at = (name: string) => join(folder, name)
  execFileSync('mkfifo', [at('pipe')])
  symlinkSync('pipe', at('link-to-pipe'))
  symlinkSync('missing', at('link-without-target'))
  symlinkSync('directory', at('link-to-directory'))
  // The path of a socket is limited to about 100 characters.
  const short = mkdtempSync(join(tmpdir(), 'receipt-'))
  t.teardown(() => rmSync(short, { recursive: true }))
  const socket = join(short, 'socket')
  const server = createServer().listen(socket)
  await new Promise(resolve => server.once('listening', resolve))
  t.teardown(() => server.close())
  const cases: [string, RegExp][] = [
    [at('pipe'), /it is a pipe, not a regular file/],
    [at('link-to-pipe'), /it is a pipe/],
    [socket, /it is a socket/],
    [at('directory'), /it is a directory/],
    [at('link-to-directory'), /it is a directory/],
    [at('link-without-target'), /it is a symbolic link without a target/],
    ['/dev/null', /it is a device/],
    ['/dev/stdout', /it is an open file of a process/],
    ['/proc/self/fd/1', /it is an open file of a process/],
  ]
  const before = readdirSync(folder)
  for (const [file, message] of cases) {
    t.throws(() => assertWritable(file), { code: 'USAGE', message }, file)
    t.throws(() => writeReceipt(file, receipt), { code: 'USAGE', message }, file)
  }
  t.strictSame(readdirSync(folder), before)
  t.ok(lstatSync('/dev/null').isCharacterDevice())
})

t.test('a receipt keeps the permissions of the file, and the link to it', async t => {
  const folder = t.testdir({ 'receipt.json': 'old' })
  const [file, link] = [join(folder, 'receipt.json'), join(folder, 'link.json')]
  chmodSync(file, 0o640)
  symlinkSync('receipt.json', link)
  assertWritable(link)
  t.equal(readFileSync(file, 'utf8'), 'old')
  writeReceipt(link, receipt)
  t.match(JSON.parse(readFileSync(file, 'utf8')), receipt)
  t.equal(statSync(file).mode & 0o777, 0o640)
  t.ok(lstatSync(link).isSymbolicLink())
  t.strictSame(readdirSync(folder).sort(), ['link.json', 'receipt.json'])
})

t.test('a link at a temporary name is not followed', async t => {
  const folder = t.testdir({ victim: 'untouched' })
  const file = join(folder, 'receipt.json')
  for (const name of [`receipt.json.${process.pid}.tmp`, `.receipt.json.${process.pid}.tmp`])
    symlinkSync('victim', join(folder, name))
  assertWritable(file)
  writeReceipt(file, receipt)
  t.equal(readFileSync(join(folder, 'victim'), 'utf8'), 'untouched')
  writeFileSync(join(folder, 'fresh'), '')
  t.equal(statSync(file).mode, statSync(join(folder, 'fresh')).mode, 'a new file has the usual permissions')
})

/** A private mount of a file over another; rename refuses to replace it. */
const canMount = spawnSync('unshare', ['-Urm', 'true']).status === 0

t.test('a receipt that is mounted is written in place', { skip: !canMount && 'no private mounts' }, async t => {
  const folder = t.testdir({ 'receipt.json': 'old', 'mounted.json': 'older' })
  const module = new URL('../../src/operate/receipt-file.ts', import.meta.url)
  const script = `import { assertWritable, writeReceipt } from '${module}'
    assertWritable('mounted.json'); writeReceipt('mounted.json', { kind: 'Receipt' })`
  writeFileSync(join(folder, 'script.ts'), script)
  const run = `mount --bind receipt.json mounted.json && exec '${process.execPath}' script.ts`
  const { status, stderr } = spawnSync('unshare', ['-Urm', 'sh', '-c', run], { cwd: folder, encoding: 'utf8' })
  t.match({ status, stderr }, { status: 0, stderr: '' })
  t.match(JSON.parse(readFileSync(join(folder, 'receipt.json'), 'utf8')), receipt)
})

t.test('a receipt does not replace the file to which the output is redirected, through any link', async t => {
  const folder = t.testdir({ 'out.txt': '', 'script.ts': '' })
  symlinkSync('/dev/stdout', join(folder, 'to-stdout'))
  symlinkSync('out.txt', join(folder, 'to-file'))
  symlinkSync('/proc/self/fd', join(folder, 'folder'))
  const module = new URL('../../src/operate/receipt-file.ts', import.meta.url)
  const script = `import { assertWritable } from '${module}'
    for (const file of ['to-stdout', 'to-file', 'out.txt', 'folder/1']) {
      try { assertWritable(file); console.log('accepted', file) } catch (error) { console.log(error.code) }
    }`
  writeFileSync(join(folder, 'script.ts'), script)
  execFileSync('sh', ['-c', `'${process.execPath}' script.ts > out.txt`], { cwd: folder })
  t.equal(readFileSync(join(folder, 'out.txt'), 'utf8'), 'USAGE\n'.repeat(4))
})
