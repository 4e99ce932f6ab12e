import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import t from 'tap'
import { createPostgresReader } from '../../../src/clients/postgres/postgres.ts'
import { createPostgresReaders } from '../../../src/clients/postgres/postgres-readers.ts'
import { createPostgresWriter } from '../../../src/clients/postgres/postgres-writer.ts'
import { systemClock } from '../../../src/clock.ts'
import { startDeadline } from '../../../src/concurrency/deadline.ts'
import { parsePostgresUrl } from '../../../src/config/postgres-url.ts'
import { readCatalog } from '../../../src/probes/read-catalog.ts'
import { createAdvancedClock } from '../../helpers/clock.ts'
import { installedMajors, startPostgres } from '../../helpers/postgres-server.ts'
import { startTcpProxy } from '../../helpers/tcp-proxy.ts'

const secret = 's3cret@:/?#'

t.test('parses a URL as libpq does', async t => {
  const target = { port: 5432, password: null, sslMode: 'prefer', sslRootCert: null, sslCert: null, sslKey: null }
  const cases: [string, object][] = [
    ['postgres://me@db/app', { host: 'db', user: 'me', database: 'app' }],
    ['postgresql://me@db:6000', { host: 'db', port: 6000, user: 'me', database: 'me' }],
    ['postgres://me:a%40b%25@[::1]:1/x', { host: '::1', port: 1, user: 'me', password: 'a@b%', database: 'x' }],
    ['postgres://me:p@ss@db/x', { host: 'db', user: 'me', password: 'p@ss', database: 'x' }],
    ['postgres://me@/app?host=/cloudsql/p:r:i', { host: '/cloudsql/p:r:i', user: 'me', database: 'app' }],
    ['postgres://me@%2Fcloudsql%2Fp%3Ar%3Ai/app', { host: '/cloudsql/p:r:i', user: 'me', database: 'app' }],
    [
      'postgres:///app?user=me&password=x%26y&port=7',
      { host: 'localhost', port: 7, user: 'me', password: 'x&y', database: 'app' },
    ],
    [
      'postgres://me@db/a?sslmode=verify-ca&sslrootcert=/ca.pem',
      { host: 'db', user: 'me', database: 'a', sslMode: 'verify-ca', sslRootCert: '/ca.pem' },
    ],
    [
      'postgres://me@db/a?sslrootcert=system',
      { host: 'db', user: 'me', database: 'a', sslMode: 'verify-full', sslRootCert: 'system' },
    ],
  ]
  for (const [url, expected] of cases) t.same(parsePostgresUrl(url), { ...target, ...expected }, url)
})

t.test('describes an invalid URL without its password', async t => {
  const cases: [string, RegExp][] = [
    ['mysql://me:hunter2@db/app', /invalid database URL/],
    ['postgres://:hunter2@db/app', /has no user/],
    ['postgres://me:hunter2%zz@db/app', /percent-encoding in the password/],
    ['postgres://me:hunter2@a,b/app', /several hosts/],
    ['postgres://me:hunter2@db:99999/app', /invalid port "99999": expected a number from 1 to 65535/],
    ['postgres://me:hunter2', /has no user/],
    ['postgres://me:hunter2?user=me', /invalid port: expected/],
    ['postgres://me:hunter2/x@db/app', /invalid database URL/],
    ['postgres://me:hunter2@[::1/app', /invalid host/],
    ['postgres://me:hunter2@db/app?sslmode=on', /invalid sslmode: expected one of/],
    ['postgres://me:hunter2@db/app?sslmode=verify-ca', /sslmode=verify-ca needs sslrootcert/],
    ['postgres://me:hunter2@db/app?sslmode=require&sslrootcert=system', /sslrootcert=system needs sslmode=verify-full/],
  ]
  for (const [url, message] of cases) {
    t.throws(() => parsePostgresUrl(url), { code: 'CONFIG_INVALID', message }, url)
    t.throws(() => parsePostgresUrl(url), { message: /^(?!.*hunter2)/ }, 'the password is not repeated')
  }
})

const major = installedMajors.at(-1) ?? 18
const hba = `
  host all locked 127.0.0.1/32 scram-sha-256
  host all barred 127.0.0.1/32 reject
  local all all trust
  host all all 127.0.0.1/32 trust`

t.test('a connection to a server', async t => {
  const server = await startPostgres(major, { hba, options: ['-c', 'superuser_reserved_connections=1'] })
  t.teardown(() => server.stop())
  await server.sql(
    'postgres',
    `CREATE ROLE monitor LOGIN; CREATE ROLE locked LOGIN PASSWORD '${secret}'; CREATE ROLE barred LOGIN`,
  )
  const soon = () => startDeadline(systemClock, 5000)
  const open = (url = server.url('monitor', 'postgres'), lockTimeoutMs = 200) => {
    const reader = createPostgresReader({ url, statementTimeoutMs: 4000, lockTimeoutMs })
    t.teardown(() => reader.close())
    return reader
  }
  const look = (url: string) => open(url).read(soon(), session => session.rows('SELECT 1'))
  const who = 'SELECT pg_catalog.pg_backend_pid()'

  t.test('is reused, is read-only, and has the application name driftwatch', async t => {
    const reader = open()
    const one = await reader.read(soon(), session => session.rows(who))
    t.same(await reader.read(soon(), session => session.rows(who)), one)
    const settings =
      "SELECT current_setting('application_name'), current_setting('statement_timeout'), current_setting('search_path')"
    t.same(await reader.read(soon(), session => session.rows(settings)), [['driftwatch', '4s', '""']])
    await t.rejects(
      reader.read(soon(), session => session.run('CREATE TABLE x ()')),
      { message: /read-only transaction/ },
    )
    t.same(
      await reader.read(soon(), session => session.rows(who)),
      one,
      'an error in a query keeps the connection open',
    )
  })

  t.test('is closed when its database is no longer monitored, and the others stay open', async t => {
    const limits = { timeoutMs: 4000, verifyEveryMs: 60_000 }
    const readers = createPostgresReaders(systemClock, limits)
    t.teardown(() => readers.close())
    const [kept, removed] = ['kept', 'removed'].map(name => {
      const url = new URL(server.url('monitor', 'postgres'))
      // There is one reader for each URL, so that these count as two databases.
      url.searchParams.set('application_name', name)
      return url.href
    }) as [string, string]
    const pidOf = async (url: string) => (await readers.of(url).read(soon(), session => session.rows(who)))[0]?.[0]
    const [staying, leaving] = [await pidOf(kept), await pidOf(removed)]
    readers.keepOnly(new Set([kept]), limits)
    const sessions = () => server.sql('postgres', `SELECT FROM pg_stat_activity WHERE pid = ${leaving}`)
    await until(async () => (await sessions()).length === 0)
    t.equal(await pidOf(kept), staying)
  })

  t.test('is replaced when it is too old, and frees its slot first', async t => {
    await server.sql('postgres', 'CREATE ROLE single LOGIN CONNECTION LIMIT 1')
    const clock = createAdvancedClock()
    const address = await startTcpProxy(server.port)
    t.teardown(() => address.close())
    const url = `postgres://single@127.0.0.1:${address.port}/postgres?sslmode=disable`
    const lifetime = { clock, maxMs: 60_000 }
    const reader = createPostgresReader({ url, statementTimeoutMs: 4000, lockTimeoutMs: 200, lifetime })
    t.teardown(() => reader.close())
    const pid = async () => (await reader.read(soon(), session => session.rows(who)))[0]?.[0]
    const first = await pid()
    clock.advance(45_000)
    t.equal(await pid(), first, 'it is reused for at least 80 % of its lifetime')
    const seen = new Set([first])
    for (let replaced = 0; replaced < 5; replaced++) {
      clock.advance(60_000)
      seen.add(await pid())
    }
    t.equal(seen.size, 6)
    await address.set('silence')
    clock.advance(60_000)
    await address.set(null)
    t.notOk(seen.has(await pid()), 'an old server that does not respond does not prevent a new connection')
  })

  t.test('knows what its role may call', async t => {
    const reader = open()
    const mayCall = () => reader.read(soon(), async ({ mayCall }) => mayCall('pg_control_system'))
    t.equal(await mayCall(), true)
    await server.sql('postgres', 'REVOKE EXECUTE ON FUNCTION pg_catalog.pg_control_system() FROM PUBLIC')
    t.equal(await mayCall(), false)
    await server.sql('postgres', 'GRANT EXECUTE ON FUNCTION pg_catalog.pg_control_system() TO PUBLIC')
  })

  t.test('passes rows as they arrive, and survives an error of the caller', async t => {
    const reader = open()
    const [pid] = await reader.read(soon(), session => session.rows(who))
    let taken = 0
    const each = (take: (row: readonly [number]) => void) =>
      reader.read(soon(), session => session.each('SELECT generate_series(1, $1::int)', [5000], take))
    await each(([number]) => {
      taken += number
    })
    t.equal(taken, 12_502_500)
    let asked = 0
    const failing = each(() => {
      asked += 1
      throw new Error('no room')
    })
    await t.rejects(failing, { code: 'BUG', message: /^no room$/ })
    t.equal(asked, 1, 'the callback is not called again after its error')
    const broken = () => {
      throw new TypeError('not a database error')
    }
    for (const work of [broken, async () => broken()])
      await t.rejects(reader.read(soon(), work), { code: 'BUG', message: /^not a database error$/ })
    await t.rejects(
      reader.read(soon(), session => session.each('SELECT 1 / (2 - generate_series(1, 3))', [], () => {})),
      { code: 'INVALID_ARGUMENT', message: /division by zero/ },
    )
    t.same(await reader.read(soon(), session => session.rows(who)), [pid], 'the connection is still open')
  })

  t.test('runs one query at a time', async t => {
    const reader = open()
    const backends = await Promise.all(
      Array.from({ length: 8 }, () => reader.read(soon(), session => session.rows<[number]>(who))),
    )
    t.equal(new Set(backends.flat(2)).size, 1)
  })

  t.test('is replaced after it was cut, idle or in use', async t => {
    const reader = open()
    const [[idle] = []] = await reader.read(soon(), session => session.rows<[number]>(who))
    await server.sql('postgres', `SELECT pg_terminate_backend(${idle})`)
    const atWork = reader.read(soon(), async session => {
      const [[pid] = []] = await session.rows<[number]>(who)
      await server.sql('postgres', `SELECT pg_terminate_backend(${pid})`)
      return session.rows('SELECT 1')
    })
    await t.rejects(atWork, { code: 'UNAVAILABLE' })
    t.same(await reader.read(soon(), session => session.rows('SELECT 1')), [[1]])
  })

  t.test('is closed at the deadline, and opened again', async t => {
    const reader = open()
    await t.rejects(
      reader.read(startDeadline(systemClock, 100), session => session.rows('SELECT pg_sleep(30)')),
      {
        code: 'DEADLINE_EXCEEDED',
        message:
          /^no response from PostgreSQL: timed out after [\d.]+ m?s: database postgres at 127\.0\.0\.1:\d+ as monitor$/,
      },
    )
    t.same(await reader.read(soon(), session => session.rows('SELECT 1')), [[1]])
  })

  t.test('does not wait long for a lock on the catalog', async t => {
    const reader = open()
    await reader.read(soon(), session => readCatalog(session, { schemas: ['public'], roles: [] }))
    const holder = new pg.Client(server.url('postgres', 'postgres'))
    await holder.connect()
    await holder.query('BEGIN; LOCK TABLE pg_catalog.pg_default_acl IN ACCESS EXCLUSIVE MODE')
    await t.rejects(
      reader.read(soon(), session => readCatalog(session, { schemas: ['public'], roles: [] })),
      { code: 'DEADLINE_EXCEEDED', message: /another session holds a lock/ },
    )
    await holder.end()
    t.ok(await reader.read(soon(), session => readCatalog(session, { schemas: ['public'], roles: [] })))
  })

  t.test('reports why it cannot be opened', async t => {
    const url = (user: string, database: string, password?: string) => server.url(user, database, password)
    t.same(await look(url('locked', 'postgres', secret)), [[1]], 'a password with every special character')
    await t.rejects(look(url('locked', 'postgres', 'wrong-pass')), {
      code: 'UNAUTHENTICATED',
      message: /^(?!.*wrong-pass)/,
    })
    await t.rejects(look(url('locked', 'postgres')), { code: 'UNAUTHENTICATED' })
    await t.rejects(look(url('barred', 'postgres')), { code: 'UNAUTHENTICATED' })
    await t.rejects(look(url('monitor', 'nowhere')), { code: 'NOT_FOUND', message: /nowhere/ })
    await server.sql(
      'postgres',
      'CREATE DATABASE closed; REVOKE CONNECT ON DATABASE closed FROM PUBLIC'.split(';')[0] ?? '',
    )
    await server.sql('postgres', 'REVOKE CONNECT ON DATABASE closed FROM PUBLIC')
    await t.rejects(look(url('monitor', 'closed')), { code: 'PERMISSION_DENIED' })
    await t.rejects(look(`${url('monitor', 'postgres')}?sslmode=require`), { code: 'UNAVAILABLE', message: /SSL/ })
    t.same(await look(`${url('monitor', 'postgres')}?sslmode=allow`), [[1]])
    t.same(
      await look(`postgres://monitor@/postgres?host=${server.directory}&port=${server.port}`),
      [[1]],
      'a Unix socket',
    )
    await t.rejects(look(`postgres://monitor@/postgres?host=${server.directory}&port=1`), { code: 'UNAVAILABLE' })
    await t.rejects(look('postgres://monitor@127.0.0.1:1/postgres'), { code: 'UNAVAILABLE', message: /ECONNREFUSED/ })
  })

  t.test('fails while the server has no free connections, and recovers', async t => {
    const holders = Array.from({ length: 25 }, () => new pg.Client(server.url('postgres', 'postgres')))
    for (const holder of holders) holder.on('error', () => {})
    await Promise.allSettled(holders.map(holder => holder.connect()))
    const reader = open()
    await t.rejects(
      reader.read(soon(), session => session.rows('SELECT 1')),
      { code: 'RESOURCE_EXHAUSTED' },
    )
    await Promise.allSettled(holders.map(holder => holder.end()))
    await until(async () => (await reader.read(soon(), session => session.rows('SELECT 1'))).length === 1)
    t.pass('it recovers by itself')
  })

  t.test('recovers after a crash of the server', async t => {
    const reader = open()
    await reader.read(soon(), session => session.rows('SELECT 1'))
    await server.kill()
    await t.rejects(
      reader.read(soon(), session => session.rows('SELECT 1')),
      { code: 'UNAVAILABLE' },
    )
    await server.start()
    t.same(await reader.read(soon(), session => session.rows('SELECT 1')), [[1]])
  })

  t.test('writes in one transaction', async t => {
    const writer = createPostgresWriter({
      url: server.url('postgres', 'postgres'),
      statementTimeoutMs: 4000,
      lockTimeoutMs: 500,
    })
    t.teardown(() => writer.close())
    await t.rejects(
      writer.write(soon(), async session => {
        await session.run('CREATE TABLE public.half (id int)')
        await session.run('SELECT 1/0')
      }),
      { code: 'INVALID_ARGUMENT' },
    )
    t.same(await writer.write(soon(), session => session.rows("SELECT pg_catalog.to_regclass('public.half')")), [
      [null],
    ])
  })
})

t.test('sslmode determines TLS as in libpq', async t => {
  const identity = makeCertificate()
  if (!identity) {
    t.pass('openssl is not installed', { skip: true })
    return
  }
  t.teardown(identity.remove)
  const onlyTls = 'hostssl all all 127.0.0.1/32 trust\nhostssl all all ::1/128 trust\n'
  const tls = ['-c', 'ssl=on', '-c', `ssl_cert_file=${identity.cert}`, '-c', `ssl_key_file=${identity.key}`]
  const server = await startPostgres(major, { hba: onlyTls, options: tls })
  t.teardown(() => server.stop())
  const look = async (parameters: string, host = '127.0.0.1') => {
    const url = `postgres://postgres@${host}:${server.port}/postgres?${parameters}`
    const reader = createPostgresReader({ url, statementTimeoutMs: 4000, lockTimeoutMs: 200 })
    const encrypted = 'SELECT ssl FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid()'
    try {
      return await reader.read(startDeadline(systemClock, 5000), session => session.rows(encrypted))
    } finally {
      await reader.close()
    }
  }
  for (const mode of ['allow', 'prefer', 'require']) t.same(await look(`sslmode=${mode}`), [[true]], mode)
  t.same(await look(''), [[true]], 'by default')
  await t.rejects(look('sslmode=disable'), { code: 'UNAUTHENTICATED' })
  const root = `sslrootcert=${identity.cert}`
  t.same(await look(`sslmode=verify-full&${root}`, 'localhost'), [[true]])
  t.same(await look(`sslmode=verify-ca&${root}`), [[true]], 'verify-ca compares no names')
  await t.rejects(look(`sslmode=verify-full&${root}`), { code: 'UNAVAILABLE', message: /altnames|does not match/ })
  await t.rejects(look('sslmode=verify-full', 'localhost'), { code: 'UNAVAILABLE', message: /self.signed/ })
  const other = makeCertificate()
  if (other) {
    t.teardown(other.remove)
    for (const mode of ['require', 'verify-ca'])
      await t.rejects(
        look(`sslmode=${mode}&sslrootcert=${other.cert}`),
        { code: 'UNAVAILABLE' },
        `${mode}: another root`,
      )
  }
  await t.rejects(look('sslmode=verify-ca&sslrootcert=/nowhere.pem'), {
    code: 'CONFIG_INVALID',
    message: /cannot read \/nowhere\.pem \(sslrootcert/,
  })
})

t.test('a server that accepts connections and sends nothing is abandoned at the deadline', async t => {
  const sockets: { destroy(): void }[] = []
  const mute: Server = createServer(socket => sockets.push(socket)).listen(0, '127.0.0.1')
  await once(mute, 'listening')
  const address = mute.address()
  const port = address !== null && typeof address === 'object' ? address.port : 0
  const url = `postgres://me@127.0.0.1:${port}/x?sslmode=disable`
  const reader = createPostgresReader({ url, statementTimeoutMs: 100, lockTimeoutMs: 100 })
  await t.rejects(
    reader.read(startDeadline(systemClock, 50), session => session.rows('SELECT 1')),
    { code: 'DEADLINE_EXCEEDED' },
  )
  await reader.close()
  for (const socket of sockets) socket.destroy()
  mute.close()
})

t.test('an error that repeats the password is reported without it', async t => {
  const heard: string[] = []
  const server = createServer(socket => {
    socket.on('error', () => {})
    socket.once('data', () => {
      socket.write(Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 3]))
      socket.once('data', sent => {
        const password = sent.subarray(5, -1).toString()
        heard.push(password)
        const forms = [password, encodeURIComponent(password), Buffer.from(password).toString('base64')]
        const fields = Buffer.from(`SFATAL\0VFATAL\0C28P01\0Mwrong: ${forms.join(' ')}\0\0`)
        const head = Buffer.alloc(5, 'E')
        head.writeInt32BE(fields.length + 4, 1)
        socket.end(Buffer.concat([head, fields]))
      })
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const ask = async (credentials: string) => {
    const url = `postgres://${credentials}@127.0.0.1:${port}/x?sslmode=disable`
    const reader = createPostgresReader({ url, statementTimeoutMs: 1000, lockTimeoutMs: 100 })
    t.teardown(() => reader.close())
    return reader
      .read(startDeadline(systemClock, 5000), session => session.rows('SELECT 1'))
      .catch((error: Error) => error)
  }
  t.match(await ask('me:s3%40cr%22et'), { code: 'UNAUTHENTICATED', message: /wrong: \*\*\* \*\*\* \*\*\*=?$/ })
  t.teardown(() => delete process.env.PGPASSWORD)
  process.env.PGPASSWORD = 'of-the-environment'
  await ask('me')
  t.strictSame(heard, ['s3@cr"et', ''], 'and uses no password from the environment')
})

/** Waits until the condition holds; the test runner limits the time. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo().catch(() => false))) await new Promise(resolve => setImmediate(resolve))
}

/** A self-signed certificate for `localhost`, readable by the server; null without openssl. */
function makeCertificate(): { cert: string; key: string; remove(): void } | null {
  const directory = mkdtempSync(join(tmpdir(), 'driftwatch-tls-'))
  const [cert, key] = [join(directory, 'cert.pem'), join(directory, 'key.pem')]
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  const name = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost']
  const made = spawnSync('openssl', ['req', '-x509', ...curve, ...name, '-keyout', key, '-out', cert])
  const remove = () => rmSync(directory, { recursive: true, force: true })
  if (made.status !== 0) {
    remove()
    return null
  }
  // If the tests run as root, the server runs as the user nobody.
  if (process.getuid?.() === 0) {
    for (const path of [directory, cert, key]) chownSync(path, 65_534, 65_534)
  }
  return { cert, key, remove }
}
