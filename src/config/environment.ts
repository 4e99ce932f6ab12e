import { isIPv4 } from 'node:net'
import { DriftwatchError } from '../errors.ts'
import { logLevels } from '../log.ts'
import type { Variables } from './file/interpolate.ts'
import { maskUrl } from './mask.ts'
import { createSecret, type Secret } from './secret.ts'

/** What Driftwatch reads of its environment, variables of the config file apart. `docs/configuration.md` shows this. */
export const environmentVariables = {
  PORT: { fallback: '8080', meaning: 'The port that `serve` listens on; 0 takes any free one.' },
  DRIFTWATCH_CONFIG: { fallback: 'driftwatch.yaml', meaning: 'The config file, where `--config` names none.' },
  LOG_LEVEL: { fallback: 'info', meaning: `How much is logged: ${logLevels.map(level => `\`${level}\``).join(', ')}.` },
  CLOUD_RUN_EMULATOR_HOST: {
    fallback: '',
    meaning: 'A Cloud Run emulator, `host:port` on loopback: gRPC without TLS, and no credentials are looked up.',
  },
  MONITORING_EMULATOR_HOST: { fallback: '', meaning: 'The same for Cloud Monitoring.' },
  ARTIFACT_REGISTRY_EMULATOR_HOST: {
    fallback: '',
    meaning:
      'A registry, `host:port` on loopback, that stands for every registry over plain HTTP. Where only `CLOUD_RUN_EMULATOR_HOST` is set, no registry is asked.',
  },
  GCE_METADATA_HOST: {
    fallback: 'metadata.google.internal',
    meaning:
      "Google's metadata server, which says in which project and region Driftwatch runs. Where `MONITORING_EMULATOR_HOST` is set and this is not, nobody is asked.",
  },
  DB_ADMIN_URL: {
    fallback: '',
    meaning: 'The URL by which `driftwatch grants apply` changes a database; nothing else uses it. A secret.',
  },
  K_SERVICE: { fallback: '', meaning: "Driftwatch's own name on Cloud Run, which sets it." },
  NO_COLOR: { fallback: '', meaning: 'Anything but nothing: no colour, on a terminal too.' },
} as const

type VariableName = keyof typeof environmentVariables

/** The environment as the rest of Driftwatch reads it. */
export interface Environment {
  readonly port: number
  readonly configFile: string
  readonly logLevel: (typeof logLevels)[number]
  /** `host:port` on loopback, as are the next two; null where the real system is meant. */
  readonly cloudRunEmulatorHost: string | null
  readonly monitoringEmulatorHost: string | null
  readonly artifactRegistryEmulatorHost: string | null
  /** Null where Cloud Monitoring is emulated and no metadata server is named. */
  readonly metadataHost: string | null
  /** The URL of an operator who may change the database. */
  readonly adminUrl: Secret | null
  /** Driftwatch's own Cloud Run service, or null elsewhere. */
  readonly service: string | null
  readonly noColor: boolean
  /** Everything there is: what `${VAR}` in a config stands for. */
  readonly variables: Variables
}

/** Reads the environment; throws USAGE with a line for each variable that makes no sense. An empty one is not set. */
export function readEnvironment(env: Variables = process.env): Environment {
  const faults: string[] = []
  const read = (name: VariableName) => env[name] || environmentVariables[name].fallback
  function take<T>(name: VariableName, parse: (text: string) => T | null, wanted: string): T {
    const value = parse(read(name))
    if (value === null) faults.push(`${name} must be ${wanted}, not ${JSON.stringify(read(name))}`)
    return value as T
  }
  const emulatorHost = (name: VariableName) =>
    read(name) ? take(name, parseLoopback, 'host:port on loopback, such as 127.0.0.1:9090') : null
  const environment = {
    port: take('PORT', parsePort, 'a whole number from 0 to 65535'),
    configFile: read('DRIFTWATCH_CONFIG'),
    logLevel: take('LOG_LEVEL', parseLogLevel, `one of ${logLevels.join(', ')}`),
    cloudRunEmulatorHost: emulatorHost('CLOUD_RUN_EMULATOR_HOST'),
    monitoringEmulatorHost: emulatorHost('MONITORING_EMULATOR_HOST'),
    artifactRegistryEmulatorHost: emulatorHost('ARTIFACT_REGISTRY_EMULATOR_HOST'),
    metadataHost: env.MONITORING_EMULATOR_HOST && !env.GCE_METADATA_HOST ? null : read('GCE_METADATA_HOST'),
    adminUrl: read('DB_ADMIN_URL') ? createSecret(read('DB_ADMIN_URL'), maskUrl(read('DB_ADMIN_URL'))) : null,
    service: read('K_SERVICE') || null,
    noColor: read('NO_COLOR') !== '',
    variables: env,
  }
  if (faults.length > 0) throw new DriftwatchError('USAGE', faults.join('\n'))
  return environment
}

function parsePort(text: string): number | null {
  return /^[0-9]{1,5}$/.test(text) && Number(text) <= 65_535 ? Number(text) : null
}

function parseLogLevel(text: string): Environment['logLevel'] | null {
  return logLevels.find(level => level === text) ?? null
}

/** Emulators get no credentials and no TLS, so they must not be anywhere else. */
function parseLoopback(text: string): string | null {
  const { host = '', port = '' } = /^(?<host>[^:]+|\[::1\]):(?<port>[0-9]+)$/.exec(text)?.groups ?? {}
  const loopback = host === 'localhost' || host === '[::1]' || (isIPv4(host) && host.startsWith('127.'))
  return loopback && parsePort(port) ? text : null
}
