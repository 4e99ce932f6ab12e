import t from 'tap'
import { environmentVariables, readEnvironment } from '../../src/config/environment.ts'
import { catchMessage } from '../helpers/config-text.ts'

t.test('the environment is read, and an empty variable counts as not set', async t => {
  const nothing = {
    port: 8080,
    configFile: 'driftwatch.yaml',
    configOption: null,
    logLevel: 'info',
    cloudRunEmulatorHost: null,
    monitoringEmulatorHost: null,
    artifactRegistryEmulatorHost: null,
    metadataHost: 'metadata.google.internal',
    adminUrl: null,
    service: null,
    noColor: false,
  }
  const { variables, ...rest } = readEnvironment({ OTHER: 'x' })
  t.strictSame(rest, nothing)
  const { adminUrl } = readEnvironment({ DB_ADMIN_URL: 'postgres://boss:hunter2@db/x' })
  t.equal(String(adminUrl), 'postgres://boss:***@db/x', 'a secret is masked')
  t.strictSame(variables, { OTHER: 'x' })
  const blank = Object.fromEntries(Object.keys(environmentVariables).map(name => [name, '']))
  t.match(readEnvironment(blank), nothing)
  const set = {
    PORT: '0',
    DRIFTWATCH_CONFIG: '/etc/driftwatch.yaml',
    LOG_LEVEL: 'warn',
    CLOUD_RUN_EMULATOR_HOST: 'localhost:1',
    MONITORING_EMULATOR_HOST: '[::1]:65535',
    ARTIFACT_REGISTRY_EMULATOR_HOST: '127.1.2.3:5000',
    K_SERVICE: 'driftwatch',
    NO_COLOR: '1',
  }
  t.match(readEnvironment(set), {
    port: 0,
    configFile: '/etc/driftwatch.yaml',
    logLevel: 'warn',
    cloudRunEmulatorHost: 'localhost:1',
    monitoringEmulatorHost: '[::1]:65535',
    artifactRegistryEmulatorHost: '127.1.2.3:5000',
    service: 'driftwatch',
    noColor: true,
  })
})

t.test('an invalid environment is rejected with all problems', async t => {
  const message = catchMessage(t, 'USAGE', () =>
    readEnvironment({ PORT: '65536', LOG_LEVEL: 'loud', CLOUD_RUN_EMULATOR_HOST: 'run.googleapis.com:443' }),
  )
  t.strictSame(message.split('\n'), [
    'invalid PORT "65536": expected a number from 0 to 65535',
    'invalid LOG_LEVEL "loud": expected one of trace, debug, info, warn, error, fatal, silent',
    'invalid CLOUD_RUN_EMULATOR_HOST "run.googleapis.com:443": expected host:port on loopback, for example 127.0.0.1:9090',
  ])
  for (const PORT of ['-1', '1.5', '8o80', ' 80', '1e3', '0x10'])
    catchMessage(t, 'USAGE', () => readEnvironment({ PORT }))
  for (const host of [
    '127.0.0.1',
    '10.0.0.1:80',
    '127.0.0.1.evil.dev:80',
    '127.0.0.300:80',
    'localhost:',
    'localhost:0',
    '::1:80',
    'localhost:99999',
    'http://localhost:80',
  ]) {
    catchMessage(t, 'USAGE', () => readEnvironment({ MONITORING_EMULATOR_HOST: host }))
    catchMessage(t, 'USAGE', () => readEnvironment({ ARTIFACT_REGISTRY_EMULATOR_HOST: host }))
  }
})
