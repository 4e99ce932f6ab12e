import { type CloudRunClient, cloudRunMethods, createCloudRunClient } from '../clients/cloud-run/cloud-run.ts'
import type { CallBudget } from '../clients/google/call-budget.ts'
import { createGoogleCredentials } from '../clients/google/google-credentials.ts'
import { createIdTokenSource, type IdTokenSource } from '../clients/google/id-token-source.ts'
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

/** The clients that the probes share for the life of a watch. */
export interface ProbeClients {
  readonly cloudRun: CloudRunClient
  /** Null if Cloud Run is emulated and registries are not. */
  readonly registry: RegistryClient | null
  /** Null if Cloud Run is emulated and Cloud Monitoring is not. */
  readonly telemetry: TelemetryClient | null
  readonly http: ContractClient
  /** Null if Cloud Run is emulated. */
  readonly identityTokens: IdTokenSource | null
  readonly databases: PostgresReaders
  close(): Promise<void>
}

/** Called after every request, with the API, the method and `OK` or an error code. */
export type OnApiRequest = (api: string, method: string, code: ErrorCode | 'OK') => void

export interface ProbeClientsOptions {
  readonly environment: Environment
  readonly clock: Clock
  readonly budget: CallBudget
  /** Limits for the probes of databases. */
  readonly limits: ReaderLimits
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
  const { environment, clock, budget, limits, onApiRequest } = options
  const { cloudRunEmulatorHost } = environment
  const cloudRun = createCloudRunClient({
    clock,
    budget,
    emulatorHost: cloudRunEmulatorHost,
    onRequest: (method, code) => onApiRequest('run', method, code),
  })
  const telemetry = openTelemetryClient(environment, clock, onApiRequest)
  const databases = createPostgresReaders(clock, limits)
  return {
    cloudRun,
    registry: openRegistryClient(environment, clock, onApiRequest),
    telemetry,
    http: createContractClient({ clock, onRequest: (method, code) => onApiRequest('http', method, code) }),
    identityTokens: cloudRunEmulatorHost === null ? createIdTokenSource() : null,
    databases,
    async close() {
      await Promise.all([cloudRun.close(), telemetry?.close(), databases.close()])
    },
  }
}

function openTelemetryClient(
  { cloudRunEmulatorHost, monitoringEmulatorHost: emulatorHost }: Environment,
  clock: Clock,
  onApiRequest: OnApiRequest,
): TelemetryClient | null {
  if (cloudRunEmulatorHost !== null && emulatorHost === null) return null
  return createTelemetryClient({
    clock,
    emulatorHost,
    onRequest: (method, code) => onApiRequest('monitoring', method, code),
  })
}

/** Null if Cloud Run is emulated and registries are not. */
export function openRegistryClient(
  { cloudRunEmulatorHost, artifactRegistryEmulatorHost: emulatorHost }: Environment,
  clock: Clock,
  onApiRequest: OnApiRequest = () => {},
): RegistryClient | null {
  if (cloudRunEmulatorHost !== null && emulatorHost === null) return null
  return createRegistryClient({
    emulatorHost,
    credentials: emulatorHost === null ? createGoogleCredentials() : null,
    clock,
    onRequest: ({ method, code }) => onApiRequest('registry', method, code),
  })
}
