import type { Secret } from './secret.ts'
import type { AfterRolloutConfig } from './sections/after-rollout.ts'
import type { AlertsConfig } from './sections/alerts.ts'
import type { DatabaseFile } from './sections/database.ts'
import type { DiscoveredPlace, FoundStack } from './sections/discover.ts'
import type { HttpContractConfig } from './sections/http-contract.ts'
import type { LaneConfig } from './sections/lanes.ts'
import type { QuotaConfig } from './sections/quota.ts'
import type { ServerConfig } from './sections/server.ts'

/** The resolved config: durations in milliseconds, null for absent parts. */
export interface Config {
  /** A cron expression, in UTC. */
  readonly schedule: string
  readonly timeoutMs: number
  readonly rolloutGraceMs: number
  readonly staleAfterMs: number
  /** Nothing that is kept from earlier cycles is used for longer, connections included. */
  readonly verifyEveryMs: number
  readonly host: string
  readonly server: ServerConfig
  readonly alerts: AlertsConfig
  readonly quota: QuotaConfig
  /** Null if nothing is discovered. */
  readonly discover: DiscoverConfig | null
  /** The listed stacks, with unique names. At least one if nothing is discovered. */
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
  /** Null if lanes are not checked. */
  readonly lanes: readonly LaneConfig[] | null
  readonly afterRollout: AfterRolloutConfig | null
  readonly httpContract: HttpContractConfig | null
  /** Notes for the operator, such as why a part of the config is ignored. */
  readonly notes: readonly string[]
}

/** A stack with a migration job. */
export type JobStack = Stack & { readonly job: JobConfig }

interface ServiceConfig {
  readonly name: string
  readonly container: string | null
  /** If empty, not checked. */
  readonly repositories: readonly string[]
  readonly expectedImage: string | null
}

export interface JobConfig {
  readonly name: string
  readonly container: string | null
  /** Null if not checked. */
  readonly command: readonly string[] | null
  /** Null if not checked, because the config has neither command nor args. */
  readonly args: readonly string[] | null
  readonly maxDurationMs: number
}

export interface DatabaseConfig extends Readonly<Omit<DatabaseFile, 'url'>> {
  readonly url: Secret
}

export interface DiscoveryMinimum {
  readonly places: readonly DiscoveredPlace[]
  readonly atLeast: number
}

/** Where stacks are discovered, and how a discovered stack is configured. */
export interface DiscoverConfig {
  /** Each project and region occurs once. */
  readonly places: readonly DiscoveredPlace[]
  /** For each entry, its places and how many stacks they must have together. */
  readonly minimums: readonly DiscoveryMinimum[]
  /** The stack with the values of `defaults`. */
  stackOf(found: FoundStack): Stack
}
