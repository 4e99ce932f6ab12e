export interface MetricDefinition {
  readonly name: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly labels: readonly string[]
  /** One sentence; `docs/metrics.md` is compared with it. */
  readonly help: string
}

/** Every metric of Driftwatch's own. Labels hold names and codes only: never digests, role names or error texts. */
export const metricDefinitions = {
  checkStatus: {
    name: 'driftwatch_check_status',
    type: 'gauge',
    labels: ['stack', 'check', 'status'],
    help: 'The status of a check: 1 for the status that it has, 0 for the others.',
  },
  checkDifferences: {
    name: 'driftwatch_check_differences',
    type: 'gauge',
    labels: ['stack', 'check'],
    help: 'How many differences a check shows; no series while the check is unknown.',
  },
  checkSince: {
    name: 'driftwatch_check_status_since_timestamp_seconds',
    type: 'gauge',
    labels: ['stack', 'check'],
    help: 'When the status of a check began, in seconds since 1970.',
  },
  checkObserved: {
    name: 'driftwatch_check_observed_timestamp_seconds',
    type: 'gauge',
    labels: ['stack', 'check'],
    help: 'When what a check rests on was looked at, in seconds since 1970; no series before the first answer.',
  },
  probeDuration: {
    name: 'driftwatch_probe_duration_seconds',
    type: 'histogram',
    labels: ['probe'],
    help: 'How long a probe took to look at one stack, retries included.',
  },
  probeErrors: {
    name: 'driftwatch_probe_errors_total',
    type: 'counter',
    labels: ['probe', 'code'],
    help: 'How often a probe could not look, by the code of the error.',
  },
  apiRequests: {
    name: 'driftwatch_api_requests_total',
    type: 'counter',
    labels: ['api', 'method', 'code'],
    help: 'Requests to the APIs that are watched, retries included; the code is OK or that of the error.',
  },
  cycleDuration: {
    name: 'driftwatch_cycle_duration_seconds',
    type: 'histogram',
    labels: [],
    help: 'How long a completed cycle took.',
  },
  cycleCompleted: {
    name: 'driftwatch_cycle_completed_timestamp_seconds',
    type: 'gauge',
    labels: [],
    help: 'When the last cycle completed, in seconds since 1970; no series before the first.',
  },
  alertPublishes: {
    name: 'driftwatch_alert_publishes_total',
    type: 'counter',
    labels: ['channel', 'result'],
    help: 'How often a channel was published to, by result: ok or failed.',
  },
  stackInfo: {
    name: 'driftwatch_stack_info',
    type: 'gauge',
    labels: ['stack', 'project', 'region', 'service', 'job'],
    help: 'Always 1: what a stack watches; the job is empty where there is none.',
  },
  discoveredStacks: {
    name: 'driftwatch_discovered_stacks',
    type: 'gauge',
    labels: ['project', 'region'],
    help: 'How many stacks were found by their labels, beside those that the config lists.',
  },
  discoveryProblems: {
    name: 'driftwatch_discovery_problems',
    type: 'gauge',
    labels: ['project', 'region'],
    help: 'How many labels name no stack that can be watched.',
  },
  discoveryUnknown: {
    name: 'driftwatch_discovery_unknown',
    type: 'gauge',
    labels: ['project', 'region'],
    help: 'Whether it is unknown which stacks there are: 1 where a place could not be listed for too long, or has problems, else 0.',
  },
  configRefused: {
    name: 'driftwatch_config_reload_failed',
    type: 'gauge',
    labels: [],
    help: 'Whether the config file as it is now was refused, and one from before still counts: 1, else 0.',
  },
  buildInfo: {
    name: 'driftwatch_build_info',
    type: 'gauge',
    labels: ['version', 'node'],
    help: 'Always 1: the version of Driftwatch and of the Node.js that runs it.',
  },
} as const satisfies Record<string, MetricDefinition>
