import {
  type CloudRunClient,
  cloudRunMethods,
  createCloudRunClient,
  createResourceCaches,
  type ResourceCaches,
} from '../clients/cloud-run/cloud-run.ts'
import type { CallBudget } from '../clients/google/call-budget.ts'
import { createGoogleCredentials } from '../clients/google/google-credentials.ts'
import { createIdTokenSource, type IdTokenSource } from '../clients/google/id-token-source.ts'
import { type ConnectionAge, createConnectionAge } from '../clients/http/connection-age.ts'
import { type ContractClient, createContractClient, httpMethods } from '../clients/http/contract-client.ts'
import {
  createTelemetryClient,
  type TelemetryClient,
  telemetryMethods,
} from '../clients/monitoring/telemetry-queries.ts'
import { createPostgresReaders, type PostgresReaders, type ReaderLimits } from '../clients/postgres/postgres-readers.ts'
import { createRegistryClient, type RegistryClient } from '../clients/registry/registry-client.ts'
import { registryMethods } from '../clients/registry/registry-http.ts'
import type { Clock } from '../clock.ts'
import type { Environment } from '../config/environment.ts'
import type { ErrorCode } from '../errors.ts'

/** The clients that keep connections or cached responses. */
export interface CachingClients {
  readonly cloudRun: CloudRunClient
  /** Null if Cloud Run is emulated and registries are not. */
  readonly registry: RegistryClient | null
  /** Null if Cloud Run is emulated and Cloud Monitoring is not. */
  readonly telemetry: TelemetryClient | null
  close(): Promise<void>
}

/** The clients that the probes share for the life of a watch. */
export interface ProbeClients extends CachingClients {
  readonly http: ContractClient
  /** Null if Cloud Run is emulated. */
  readonly identityTokens: IdTokenSource | null
  readonly databases: PostgresReaders
  /** New clients, which use nothing from before. The caller closes them. */
  openFresh(): CachingClients
  /** Replaces the connections of the shared clients to Google's APIs and to registries. */
  dropConnections(): void
}

/** Called after every request, with the API, the method and `OK` or an error code. */
export type OnApiRequest = (api: string, method: string, code: ErrorCode | 'OK') => void

export interface ProbeClientsOptions {
  readonly environment: Environment
  readonly clock: Clock
  readonly budget: CallBudget
  /** Limits for the probes of databases. */
  readonly limits: ReaderLimits
  /** The current maximum age of connections to Google's APIs and to registries. */
  readonly maxAgeMs: () => number
  readonly onApiRequest: OnApiRequest
}

/** The methods that the clients call, by API: their counters start at 0. */
export const apiMethods = {
  run: cloudRunMethods,
  registry: registryMethods,
  monitoring: telemetryMethods,
  http: httpMethods,
} as const

export function createProbeClients(options: ProbeClientsOptions): ProbeClients {
  const { environment, clock, budget, limits, maxAgeMs, onApiRequest } = options
  const connectionAge = createConnectionAge(clock, maxAgeMs)
  const caches = createResourceCaches()
  const shared = openCachingClients(options, caches, connectionAge, budget)
  const databases = createPostgresReaders(clock, limits)
  return {
    ...shared,
    http: createContractClient({ clock, onRequest: (method, code) => onApiRequest('http', method, code) }),
    identityTokens: environment.cloudRunEmulatorHost === null ? createIdTokenSource() : null,
    databases,
    openFresh: () => openCachingClients(options, caches, createConnectionAge(clock), budget.optional),
    dropConnections: connectionAge.expireAll,
    async close() {
      await Promise.all([shared.close(), databases.close()])
    },
  }
}

function openCachingClients(
  options: ProbeClientsOptions,
  caches: ResourceCaches,
  connectionAge: ConnectionAge,
  budget: Pick<CallBudget, 'take'>,
): CachingClients {
  const { environment, clock, onApiRequest } = options
  const cloudRun = createCloudRunClient({
    clock,
    budget,
    caches,
    connectionAge,
    emulatorHost: environment.cloudRunEmulatorHost,
    onRequest: (method, code) => onApiRequest('run', method, code),
  })
  const telemetry = openTelemetryClient(options, connectionAge)
  return {
    cloudRun,
    registry: openRegistryClient(environment, clock, { connectionAge, onApiRequest }),
    telemetry,
    async close() {
      await Promise.all([cloudRun.close(), telemetry?.close()])
    },
  }
}

function openTelemetryClient(
  { environment, clock, onApiRequest }: ProbeClientsOptions,
  connectionAge: ConnectionAge,
): TelemetryClient | null {
  const { cloudRunEmulatorHost, monitoringEmulatorHost: emulatorHost } = environment
  if (cloudRunEmulatorHost !== null && emulatorHost === null) return null
  return createTelemetryClient({
    clock,
    connectionAge,
    emulatorHost,
    onRequest: (method, code) => onApiRequest('monitoring', method, code),
  })
}

interface RegistryConnectionOptions {
  readonly connectionAge?: ConnectionAge
  readonly onApiRequest?: OnApiRequest
}

/** Null if Cloud Run is emulated and registries are not. */
export function openRegistryClient(
  { cloudRunEmulatorHost, artifactRegistryEmulatorHost: emulatorHost }: Environment,
  clock: Clock,
  { connectionAge, onApiRequest = () => {} }: RegistryConnectionOptions = {},
): RegistryClient | null {
  if (cloudRunEmulatorHost !== null && emulatorHost === null) return null
  return createRegistryClient({
    emulatorHost,
    credentials: emulatorHost === null ? createGoogleCredentials(clock) : null,
    clock,
    connectionAge,
    onRequest: ({ method, code }) => onApiRequest('registry', method, code),
  })
}
