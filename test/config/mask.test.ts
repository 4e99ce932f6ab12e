import { spawnSync } from 'node:child_process'
import { inspect } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { parseDocument, visit } from 'yaml'
import { escapeInterpolation } from '../../src/config/file/interpolate.ts'
import { parseConfig } from '../../src/config/load.ts'
import { maskText, maskWords } from '../../src/config/mask.ts'
import { printConfig } from '../../src/config/print-config.ts'
import { DriftwatchError } from '../../src/errors.ts'
import { pathOf } from '../../src/http/error-replies.ts'
import { maskQuery, maskUrls, prose, shown } from '../../src/printable.ts'
import { updateJob } from '../../src/remedies/gcloud.ts'
import { formatCommand } from '../../src/remedies/shell.ts'
import { buildConfig, read, ref } from '../helpers/config-text.ts'

t.test('the password of a URL is never shown', async t => {
  const password = fc.string({ unit: fc.constantFrom(...'abc019-._~!$&()*+,;=:', '%25'), minLength: 6 })
  const urls = fc.constantFrom<(secret: string) => string>(
    secret => `postgres://admin:${secret}@db:5432/name?sslmode=require`,
    secret => `postgresql://me:${secret}@db`,
    secret => `postgres://admin:${secret}@/name?host=/cloudsql/acme:us-central1:db`,
    secret => `postgres://db/name?user=admin&password=${encodeURIComponent(secret)}`,
    secret => `postgres://me@db/name?p%61ssword=${encodeURIComponent(secret)}&${encodeURIComponent(secret)}=1`,
  )
  const isHidden = (secret: string, url: string) => {
    const config = parseConfig(buildConfig({ database: { url: escapeInterpolation(url) } }), '', {})
    const database = config.stacks[0]?.database
    // The masked output is a valid config, too.
    parseConfig(printConfig(config), '', {})
    const shown = [
      printConfig(config),
      JSON.stringify(config),
      inspect(config, { depth: 9, showHidden: true }),
      `${database?.url}`,
    ]
    return (
      database?.url.reveal() === url &&
      !shown.some(text => text.includes(secret) || text.includes(encodeURIComponent(secret)))
    )
  }
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(password, urls, (secret, url) => isHidden(secret, url(secret))),
      { numRuns: 60 },
    ),
  )
})

t.test('a URL with a password is masked in any key', async t => {
  const secretUrl = 'postgres://admin:hunter2 or 3@db/name'
  const places: number[] = []
  visit(parseDocument(read('deploy/openagents-runtime.yaml')), {
    Scalar: (_, node) => void places.push(node.range?.[0] ?? 0),
  })
  t.ok(places.length > 80)
  const shown = (index: number, planted: string) => {
    const document = parseDocument(read('deploy/openagents-runtime.yaml'))
    visit(document, {
      Scalar(_, node) {
        if (node.range?.[0] === places[index]) node.value = planted
      },
    })
    try {
      return printConfig(parseConfig(String(document), 'driftwatch.yaml', { SECRET: secretUrl }))
    } catch (error) {
      return error instanceof DriftwatchError ? error.message : `${inspect(error)} hunter2`
    }
  }
  const planted = [secretUrl, ref('SECRET'), ref(`NONE:-${secretUrl}`)]
  const texts = places.map((_, index) => shown(index, planted[index % planted.length] ?? ''))
  t.strictSame(
    texts.filter(text => /hunter2|or 3/.test(text)),
    [],
  )
})

t.test('secrets in the words of a command are masked, with any quoting', async t => {
  for (const [word, shown] of [
    ['--url=http://a:b@c --password=d e', '--url=http://a:***@c --password=*** e'],
    ['host=db password=s3,cr&e\'t" user=me', 'host=db password=*** user=me'],
    ['psql "password=\'s3 cret\' host=db"', 'psql "password=*** host=db"'],
    ['{"password": "s3\\" cret", "port": 1}', '{"password": ***, "port": 1}'],
    ['{\\"api_key\\":\\"s3cret\\"}', '{\\"api_key\\":***'],
    ['--password=s3 cret', '--password=***'],
    ['PGPASSWORD=s3cret', 'PGPASSWORD=***'],
    ["--password='s3cret", '--password=***'],
    ['https://h/?token=s3cret', 'https://h/?token=***'],
    ['https://h/?sig=s3cret&mode=s3cret#x', 'https://h/?sig=***&mode=***#x'],
    ['--url=https://h/?code=s3cret password=s3cret', '--url=https://h/?code=*** password=***'],
    ['postgres://me@h/x?sslmode=require&options=s3cret', 'postgres://me@h/x?sslmode=require&options=***'],
    ['what?a=b', 'what?a=b'],
    ['https://s3cret@h/x', 'https://***@h/x'],
    ['postgres://me@h/x', 'postgres://me@h/x'],
    ['http://host:8080/x', 'http://host:8080/x'],
    ['--token-file=/run/token', '--token-file=/run/token'],
    ['acme.dev/team/secret:v1@sha256:0', 'acme.dev/team/secret:v1@sha256:0'],
    ['password: s3cret', 'password: ***'],
    ['--password=', '--password='],
  ] as const) {
    t.equal(maskText(word), shown)
  }
  t.strictSame(maskWords(['--password', 's3cret', '--api-key', '-s3cret', 'run', 'token']), [
    '--password',
    '***',
    '--api-key',
    '***',
    'run',
    'token',
  ])
})

t.test('a shell parses a command line into the original words, and it shows no secret', async t => {
  const words = [
    ...['plain', '', '~root', '$(id)', '`id`', '$HOME', "it's", 'a "b" \\', '* ?', 'new\nline', '-x=!#', '{a,b}'],
    ...['postgres://me:s3cr$et@h', '--password=an other', 'x password="s3cr$et"', 'https://third@h'],
  ]
  const line = formatCommand(...words)
  t.notMatch(line, /s3cr|other|third/)
  const read = (env: NodeJS.ProcessEnv) => spawnSync('sh', ['-c', `printf '%s\\0' ${line}`], { encoding: 'utf8', env })
  const { stdout } = read({ PASSWORD: 's3cr$et', PASSWORD_2: 'an other', PASSWORD_3: '"s3cr$et"', PASSWORD_4: 'third' })
  t.strictSame(stdout.split('\0').slice(0, -1), words)
  t.not(read({}).status, 0, 'without the secrets nothing is run')
  t.equal(read({}).stdout, '')
})

t.test('the secrets of a command with a list are shell variables', async t => {
  const [stack] = parseConfig(
    buildConfig({ job: { name: 'j', args: ['--password', 's3cret', '-a,b', 'db://me:s3cret@h'] } }),
    '',
    {},
  ).stacks
  const { job } = stack ?? {}
  if (!stack || !job) return t.fail('there is a job')
  const container = { name: 'j-1', image: 'r/i:1', command: [], args: [], hasPorts: false }
  t.equal(
    updateJob({ ...stack, job }, [container], { image: null, command: null, args: job.args }),
    `gcloud run jobs update j --args '^|^--password|'"\${PASSWORD:?}"'|-a,b|db://me:'"\${PASSWORD:?}"@h --region us-central1 --project acme`,
  )
})

t.test('the secrets in URLs of external texts are masked', async t => {
  for (const [text, expected] of [
    ['GET https://h/x?api_key=s3cret&s3cret&sig=a%20b failed', 'GET https://h/x?api_key=***&***&sig=*** failed'],
    ['connect postgres://me:s3cret@h/db?password=s3cret', 'connect postgres://me:***@h/db?password=***'],
    ['see https://s3cret@h/x.', 'see https://***@h/x.'],
    ['"https://h?k=s3cret", https://g?k=s3cret', '"https://h?k=***", https://g?k=***'],
    [
      'Logs: https://console.cloud.google.com/logs/viewer?project=acme',
      'Logs: https://console.cloud.google.com/logs/viewer?project=acme',
    ],
    ['why? a=b', 'why? a=b'],
    [`curl 'https://h/?key='"\${PASSWORD:?}"`, `curl 'https://h/?key='"\${PASSWORD:?}"`],
    ['postgres://u@h/d?sslmode=require&host=/run', 'postgres://u@h/d?sslmode=require&host=/run'],
    ['https://h:8080/x', 'https://h:8080/x'],
  ] as const) {
    t.equal(shown(text), expected)
    t.equal(prose(text), expected)
    t.equal(shown(expected), expected, 'once is enough')
  }
})

t.test('the values of a query are masked, whatever their form', async t => {
  const masked: [string, string][] = [
    ['/p?token==secret', '/p?token=***'],
    ['/p?secret', '/p?***'],
    ['/p?user=secret&host=a;b', '/p?user=***&host=***'],
    ['/p?a=&b=1', '/p?a=&b=***'],
  ]
  for (const [path, expected] of masked) t.equal(maskQuery(path), expected)
  t.equal(maskUrls('see https://h/x?user=secret==1'), 'see https://h/x?user=***')
  t.equal(maskUrls('postgres://me:secret@h/db?sslmode=disable&key=1'), 'postgres://me:***@h/db?sslmode=disable&key=***')
  for (const url of [
    '/drift?t=1',
    '/drift%3Ft=1',
    '/drift;t=1',
    '/drift#t',
    'http://u:p/w@h/drift?t',
    'http://h/drift',
  ])
    t.equal(pathOf(url), '/drift', url)
})
