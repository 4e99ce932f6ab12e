import type { Secret } from './secret.ts'
import type { AfterRolloutConfig } from './sections/after-rollout.ts'
import type { AlertsConfig } from './sections/alerts.ts'
import type { DatabaseFile } from './sections/database.ts'
import type { DiscoveredPlace, FoundStack } from './sections/discover.ts'
import type { HttpContractConfig } from './sections/http-contract.ts'
import type { LaneConfig } from './sections/lanes.ts'
import type { QuotaConfig } from './sections/quota.ts'
import type { ServerConfig } from './sections/server.ts'

/** The config as the rest of Driftwatch reads it: durations in milliseconds, null where nothing is asked for. */
export interface Config {
  /** A cron expression, in UTC. */
  readonly schedule: string
  readonly timeoutMs: number
  readonly rolloutGraceMs: number
  readonly staleAfterMs: number
  readonly host: string
  readonly server: ServerConfig
  readonly alerts: AlertsConfig
  readonly quota: QuotaConfig
  /** Null: nothing is discovered. */
  readonly discover: DiscoverConfig | null
  /** The listed ones: names are unique, and there is at least one where nothing is discovered. */
  readonly stacks: readonly Stack[]
}

export interface Stack {
  readonly name: string
  readonly project: string
  readonly region: string
  readonly labels: Readonly<Record<string, string>>
  readonly service: ServiceConfig
  readonly job: JobConfig | null
  readonly database: DatabaseConfig | null
  /** Null: no lanes are judged. */
  readonly lanes: readonly LaneConfig[] | null
  readonly afterRollout: AfterRolloutConfig | null
  readonly httpContract: HttpContractConfig | null
  /** What an operator should know of the config, such as why a part of it does not count. */
  readonly notes: readonly string[]
}

export interface ServiceConfig {
  readonly name: string
  readonly container: string | null
  /** Empty: not judged. */
  readonly repositories: readonly string[]
  readonly expectedImage: string | null
}

export interface JobConfig {
  readonly name: string
  readonly container: string | null
  /** Null: not judged. */
  readonly command: readonly string[] | null
  /** Null: not judged, since the config has neither command nor args. */
  readonly args: readonly string[] | null
  readonly maxDurationMs: number
}

export interface DatabaseConfig extends Readonly<Omit<DatabaseFile, 'url'>> {
  readonly url: Secret
}

/** What is discovered, and what a stack that is found comes to. */
export interface DiscoverConfig {
  /** No project and region is there twice. */
  readonly places: readonly DiscoveredPlace[]
  /** The stack, with all that the config's `defaults` say of it. */
  stackOf(found: FoundStack): Stack
}
