import { isIPv4 } from 'node:net'
import { DriftwatchError } from '../errors.ts'
import { logLevels } from '../log.ts'
import { didYouMean } from '../suggestion.ts'
import type { Variables } from './file/interpolate.ts'
import { maskUrl } from './mask.ts'
import { createSecret, type Secret } from './secret.ts'

/** The environment variables of Driftwatch, except those of the config file. Shown in `docs/configuration.md`. */
export const environmentVariables = {
  PORT: { fallback: '8080', meaning: 'The port that `serve` listens on. 0 selects a free port.' },
  DRIFTWATCH_CONFIG: { fallback: 'driftwatch.yaml', meaning: 'The configuration file, if `--config` is not set.' },
  LOG_LEVEL: {
    fallback: 'info',
    meaning: `The minimum level of log lines: ${logLevels.map(level => `\`${level}\``).join(', ')}.`,
  },
  CLOUD_RUN_EMULATOR_HOST: {
    fallback: '',
    meaning:
      'A Cloud Run emulator as `host:port` on loopback. Driftwatch uses gRPC without TLS and without credentials.',
  },
  MONITORING_EMULATOR_HOST: { fallback: '', meaning: 'A Cloud Monitoring emulator, in the same way.' },
  ARTIFACT_REGISTRY_EMULATOR_HOST: {
    fallback: '',
    meaning:
      'A registry as `host:port` on loopback. It replaces every registry, over plain HTTP. If only `CLOUD_RUN_EMULATOR_HOST` is set, no registry is used.',
  },
  GCE_METADATA_HOST: {
    fallback: 'metadata.google.internal',
    meaning:
      "Google's metadata server. It provides the project and region that Driftwatch runs in. Not used if `MONITORING_EMULATOR_HOST` is set and this variable is not.",
  },
  DB_ADMIN_URL: {
    fallback: '',
    meaning: 'The database URL that `driftwatch grants apply` uses for changes. A secret; no other command uses it.',
  },
  K_SERVICE: { fallback: '', meaning: 'The name of the Cloud Run service of Driftwatch. Set by Cloud Run.' },
  NO_COLOR: { fallback: '', meaning: 'If not empty, output has no colors.' },
} as const

type VariableName = keyof typeof environmentVariables

/** The resolved environment. */
export interface Environment {
  readonly port: number
  readonly configFile: string
  /** The value of `--config`, which the commands in messages carry; null: not set. */
  readonly configOption: string | null
  readonly logLevel: (typeof logLevels)[number]
  /** `host:port` on loopback, like the next two; null for the real system. */
  readonly cloudRunEmulatorHost: string | null
  readonly monitoringEmulatorHost: string | null
  readonly artifactRegistryEmulatorHost: string | null
  /** Null if Cloud Monitoring is emulated and no metadata server is set. */
  readonly metadataHost: string | null
  /** The database URL of an operator. */
  readonly adminUrl: Secret | null
  /** Driftwatch's own Cloud Run service, or null elsewhere. */
  readonly service: string | null
  readonly noColor: boolean
  /** All variables, for `${VAR}` in a config. */
  readonly variables: Variables
}

/** Reads the environment; throws USAGE with one line for each invalid variable. An empty variable counts as not set. */
export function readEnvironment(env: Variables = process.env, configOption: string | null = null): Environment {
  const problems: string[] = []
  const read = (name: VariableName) => env[name] || environmentVariables[name].fallback
  function take<T>(
    name: VariableName,
    parse: (text: string) => T | null,
    expected: string,
    known: readonly string[] = [],
  ): T {
    const value = parse(read(name))
    if (value === null)
      problems.push(
        `invalid ${name} ${JSON.stringify(read(name))}: expected ${expected}${didYouMean(read(name), known)}`,
      )
    return value as T
  }
  const emulatorHost = (name: VariableName) =>
    read(name) ? take(name, parseLoopback, 'host:port on loopback, for example 127.0.0.1:9090') : null
  const environment = {
    port: take('PORT', parsePort, 'a number from 0 to 65535'),
    configFile: configOption ?? read('DRIFTWATCH_CONFIG'),
    configOption,
    logLevel: take(
      'LOG_LEVEL',
      text => logLevels.find(level => level === text) ?? null,
      `one of ${logLevels.join(', ')}`,
      logLevels,
    ),
    cloudRunEmulatorHost: emulatorHost('CLOUD_RUN_EMULATOR_HOST'),
    monitoringEmulatorHost: emulatorHost('MONITORING_EMULATOR_HOST'),
    artifactRegistryEmulatorHost: emulatorHost('ARTIFACT_REGISTRY_EMULATOR_HOST'),
    metadataHost: env.MONITORING_EMULATOR_HOST && !env.GCE_METADATA_HOST ? null : read('GCE_METADATA_HOST'),
    adminUrl: read('DB_ADMIN_URL') ? createSecret(read('DB_ADMIN_URL'), maskUrl(read('DB_ADMIN_URL'))) : null,
    service: read('K_SERVICE') || null,
    noColor: read('NO_COLOR') !== '',
    variables: env,
  }
  if (problems.length > 0) throw new DriftwatchError('USAGE', problems.join('\n'))
  return environment
}

function parsePort(text: string): number | null {
  return /^[0-9]{1,5}$/.test(text) && Number(text) <= 65_535 ? Number(text) : null
}

/** Emulators are used without credentials and TLS, so they must be on loopback. */
function parseLoopback(text: string): string | null {
  const { host = '', port = '' } = /^(?<host>[^:]+|\[::1\]):(?<port>[0-9]+)$/.exec(text)?.groups ?? {}
  const loopback = host === 'localhost' || host === '[::1]' || (isIPv4(host) && host.startsWith('127.'))
  return loopback && parsePort(port) ? text : null
}
