import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync } from 'node:fs'
import { createServer as createPlainServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { startCloudRun } from '../../../sandbox/cloud-run.ts'
import { loadWorld } from '../../../sandbox/world.ts'
import { wantedAlerts } from '../../../src/alerts/policies/policies.ts'
import { makeCertificate, noOpenssl } from '../../helpers/certificate.ts'
import { buildAlertsConfig } from '../../helpers/paging.ts'

const root = new URL('../../..', import.meta.url).pathname

/** The commands of an alert, with the variables of Cloud Monitoring replaced. */
function commandsOf(baseUrl: string, kind: string): string[] {
  const config = buildAlertsConfig({ baseUrl }, ['runtime'])
  const { policies } = wantedAlerts(config, { project: 'acme-production', monitor: 'watcher' })
  const content = policies.find(({ displayName }) => displayName.endsWith(kind))?.documentation.content ?? ''
  const filled = content.replace(/\$\{metric\.label\.(stack|check)\}/g, (_, label) =>
    label === 'stack' ? 'runtime' : 'job-image',
  )
  const [, block = ''] = /```\n(.*?)\n```/s.exec(filled) ?? []
  return block.split('\n')
}

/** A shell with `driftwatch` and its config, and a `gcloud` that prints its arguments. */
async function buildShell(t: Test) {
  const emulator = await startCloudRun({ world: loadWorld() })
  t.teardown(() => emulator.close())
  const stack = {
    name: 'runtime',
    project: 'openagentsgemini',
    region: 'us-central1',
    service: { name: 'runtime' },
    job: { name: 'runtime-migrate', command: ['runtime-migrate'] },
  }
  const directory = t.testdir({
    'driftwatch.yaml': JSON.stringify({ stacks: [stack] }),
    driftwatch: `#!/bin/sh\nexec ${join(root, 'node_modules/.bin/node')} ${join(root, 'src/main.ts')} "$@"\n`,
    gcloud: '#!/bin/sh\n[ "$1 $2" = "auth print-identity-token" ] && echo a-token && exit\nprintf "%s\\n" "$@"\n',
  })
  for (const name of ['driftwatch', 'gcloud']) chmodSync(join(directory, name), 0o755)
  return {
    directory,
    async paste(command: string): Promise<string> {
      const env = { PATH: `${directory}:${process.env.PATH}`, CLOUD_RUN_EMULATOR_HOST: emulator.host }
      const trusting = { ...env, CURL_CA_BUNDLE: join(directory, 'ca.pem') }
      const { stdout } = await promisify(execFile)('bash', ['-c', command], { cwd: directory, env: trusting })
      return stdout
    },
  }
}

/** Responds with the URL and the authorization of the request. */
function echo({ url, headers }: IncomingMessage, response: ServerResponse): void {
  response.end(`${url} ${headers.authorization ?? 'anonymous'}`)
}

t.test('the commands of an alert work when pasted', async t => {
  const { paste } = await buildShell(t)
  const server = createPlainServer(echo).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/inner`
  for (const kind of ['drifted', 'unknown']) {
    const [check = '', curl = '', ...more] = commandsOf(baseUrl, kind)
    t.match(await paste(check), /✓ runtime \/ job-image/, check)
    t.equal(await paste(curl), '/inner/drift/runtime/job-image?format=text anonymous', curl)
    t.strictSame(more, [])
  }
  const [logs = '', health = '', ...more] = commandsOf(baseUrl, 'silent')
  t.strictSame((await paste(logs)).trim().split('\n'), [
    'logging',
    'read',
    'resource.type="cloud_run_revision" AND resource.labels.service_name="watcher"',
    ...['--project', 'acme-production', '--limit', '50'],
    ...['--format', 'value(timestamp,severity,jsonPayload.message,textPayload)'],
  ])
  t.equal(await paste(health), '/inner/health/ready anonymous')
  t.strictSame(more, [])
})

t.test('over TLS, where IAM may protect Driftwatch, the commands send a token', { skip: noOpenssl }, async t => {
  const { directory, paste } = await buildShell(t)
  const server = createServer(await makeCertificate(directory), echo).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const baseUrl = `https://localhost:${(server.address() as AddressInfo).port}`
  const [, curl = ''] = commandsOf(baseUrl, 'drifted')
  t.equal(await paste(curl), '/drift/runtime/job-image?format=text Bearer a-token', curl)
  const [, health = ''] = commandsOf(baseUrl, 'silent')
  t.equal(await paste(health), '/health/ready Bearer a-token')
})

t.test('an address with special characters of a shell is quoted', async t => {
  const [, curl = ''] = commandsOf("https://drift.acme.dev/it's;$(id)", 'drifted')
  t.match(curl, `'https://drift.acme.dev/it'\\''s;$(id)/drift/runtime/job-image?format=text'`)
})
