export interface MetricDefinition {
  readonly name: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly labels: readonly string[]
  /** `docs/metrics.md` repeats it; a test compares them. */
  readonly help: string
}

/** All metrics of Driftwatch. Labels contain names and codes only: no digests, role names or error messages. */
export const metricDefinitions = {
  checkStatus: {
    name: 'driftwatch_check_status',
    type: 'gauge',
    labels: ['stack', 'check', 'status'],
    help: 'Status of a check: 1 for its current status, 0 for the others.',
  },
  checkDifferences: {
    name: 'driftwatch_check_differences',
    type: 'gauge',
    labels: ['stack', 'check'],
    help: 'Number of differences of a check. No series while the check is unknown.',
  },
  checkSince: {
    name: 'driftwatch_check_status_since_timestamp_seconds',
    type: 'gauge',
    labels: ['stack', 'check'],
    help: 'When the current status of a check began, in seconds since 1970.',
  },
  checkObserved: {
    name: 'driftwatch_check_observed_timestamp_seconds',
    type: 'gauge',
    labels: ['stack', 'check'],
    help: 'When the latest finding of a check was observed, in seconds since 1970. No series before the first observation.',
  },
  probeDuration: {
    name: 'driftwatch_probe_duration_seconds',
    type: 'histogram',
    labels: ['probe'],
    help: 'Duration of a probe of one stack, including retries.',
  },
  probeErrors: {
    name: 'driftwatch_probe_errors_total',
    type: 'counter',
    labels: ['probe', 'code'],
    help: 'Number of failed probes, by error code.',
  },
  apiRequests: {
    name: 'driftwatch_api_requests_total',
    type: 'counter',
    labels: ['api', 'method', 'code'],
    help: 'Number of API requests, including retries. The code is OK or an error code.',
  },
  cycleDuration: {
    name: 'driftwatch_cycle_duration_seconds',
    type: 'histogram',
    labels: [],
    help: 'Duration of a completed cycle.',
  },
  cycleCompleted: {
    name: 'driftwatch_cycle_completed_timestamp_seconds',
    type: 'gauge',
    labels: [],
    help: 'When the last cycle completed, in seconds since 1970. No series before the first.',
  },
  verified: {
    name: 'driftwatch_verified_timestamp_seconds',
    type: 'gauge',
    labels: [],
    help: 'When the stack whose verification is the oldest was last verified, in seconds since 1970.',
  },
  cacheMismatches: {
    name: 'driftwatch_cache_mismatches_total',
    type: 'counter',
    labels: [],
    help: 'Number of findings from cached responses that a verification proved wrong.',
  },
  alertPublishes: {
    name: 'driftwatch_alert_publishes_total',
    type: 'counter',
    labels: ['channel', 'result'],
    help: 'Number of publishes to an alert channel, by result: ok or failed.',
  },
  stackInfo: {
    name: 'driftwatch_stack_info',
    type: 'gauge',
    labels: ['stack', 'project', 'region', 'service', 'job'],
    help: 'Always 1. The labels show the resources of a stack; the job is empty if there is none.',
  },
  discoveredStacks: {
    name: 'driftwatch_discovered_stacks',
    type: 'gauge',
    labels: ['project', 'region'],
    help: 'Number of stacks that were discovered by their labels, without those that the configuration lists.',
  },
  discoveryProblems: {
    name: 'driftwatch_discovery_problems',
    type: 'gauge',
    labels: ['project', 'region'],
    help: 'Number of labels that name a stack which cannot be monitored.',
  },
  discoveryUnknown: {
    name: 'driftwatch_discovery_unknown',
    type: 'gauge',
    labels: ['project', 'region'],
    help: '1 if the stacks of a place are not all known because its list is stale or has problems, else 0.',
  },
  configRejected: {
    name: 'driftwatch_config_reload_failed',
    type: 'gauge',
    labels: [],
    help: '1 if the configuration file was rejected and the previous configuration is in use, else 0.',
  },
  buildInfo: {
    name: 'driftwatch_build_info',
    type: 'gauge',
    labels: ['version', 'node'],
    help: 'Always 1. The labels show the versions of Driftwatch and Node.js.',
  },
} as const satisfies Record<string, MetricDefinition>
