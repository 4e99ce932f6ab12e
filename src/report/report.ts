import type { FromSchema } from 'json-schema-to-ts'
import { checkKinds } from '../checks/check.ts'
import { differenceKinds } from '../checks/finding.ts'
import { type Status, statuses, worstStatus } from '../checks/status.ts'
import { type EpochMs, formatTime } from '../clock.ts'
import type { ConfigState } from '../config/config-source.ts'
import { closed } from '../config/sections/values.ts'
import { type PlaceState, placeStatus } from '../drift/places.ts'
import type { CheckError, State } from '../drift/state.ts'
import type { Snapshot, StackStates } from '../drift/store.ts'
import { errorCodes } from '../errors.ts'
import { type ReportFilter, selectStates } from './selection.ts'
import { statusOfAll, watchError } from './watch-error.ts'

const texts = { type: 'array', items: { type: 'string' } } as const

const time = { type: 'string', format: 'date-time' } as const

const nullableTime = { type: ['string', 'null'], format: 'date-time' } as const

const status = { type: 'string', enum: statuses } as const

const errorSchema = {
  ...closed,
  description: 'The last probe that failed, or whose result proved nothing.',
  required: ['code', 'message', 'at'],
  properties: {
    code: { type: 'string', enum: errorCodes, description: 'A code of docs/errors.md.' },
    message: { type: 'string', description: 'What failed, and where.' },
    at: { ...time, description: 'When it failed.' },
  },
} as const

const nullableError = { anyOf: [errorSchema, { type: 'null' }] } as const

const differenceSchema = {
  ...closed,
  description: 'One difference.',
  required: ['path', 'kind', 'expected', 'actual', 'via'],
  properties: {
    path: { type: 'string', description: 'What differs: `job.image`, `service.traffic`.' },
    kind: { type: 'string', enum: differenceKinds },
    expected: { type: ['string', 'null'], description: 'The expected value; null if none was expected.' },
    actual: { type: ['string', 'null'], description: 'The actual value; null if there is none.' },
    via: {
      type: ['string', 'null'],
      description: 'Who made the change and when, or how a role has a privilege. Null if unknown.',
    },
    objects: {
      ...texts,
      description: 'The affected objects, if one difference covers several. A note says if the list is incomplete.',
    },
  },
} as const

const stateProperties = {
  status: { ...status, description: 'The status of this check.' },
  since: { ...time, description: 'When this status began.' },
  observedAt: { ...nullableTime, description: 'When the finding was observed; null before the first observation.' },
  staleAt: { ...nullableTime, description: 'When the observation becomes stale; null before the first one.' },
  summary: { type: 'string', description: 'The finding in one sentence.' },
  differences: { type: 'array', items: differenceSchema },
  notes: { ...texts, description: 'Further information that is not a difference.' },
  fix: { type: ['string', 'null'], description: 'Commands that fix the drift, one a line, or null.' },
  advice: {
    type: ['string', 'null'],
    description: 'The reason for the fix, or what to decide where no command fixes the drift. Null: nothing to do.',
  },
  error: {
    ...nullableError,
    description: 'Why the last probe failed or its result proved nothing; null after a success.',
  },
} as const

const checkName = { type: 'string', enum: checkKinds, description: 'The name of the check.' } as const

const checkStateSchema = {
  ...closed,
  description: 'The latest finding of one check.',
  required: [
    'check',
    'status',
    'since',
    'observedAt',
    'staleAt',
    'summary',
    'differences',
    'notes',
    'fix',
    'advice',
    'error',
  ],
  properties: { check: checkName, ...stateProperties },
} as const

const stackProperties = {
  name: { type: 'string', description: 'The name of the stack in the configuration.' },
  status: {
    ...status,
    description:
      'The worst status of all its checks, whatever the filter. At best unknown if its labels have problems.',
  },
  project: { type: 'string' },
  region: { type: 'string' },
  problems: { ...texts, description: 'Problems with the labels that name it. Absent if there are none.' },
  checks: { type: 'array', items: checkStateSchema, description: 'Its checks that match the filter.' },
} as const

const stackSchema = {
  ...closed,
  description: 'One stack and its checks.',
  required: ['name', 'status', 'project', 'region', 'checks'],
  properties: stackProperties,
} as const

const cycleSchema = {
  description: 'The last completed cycle; null before the first.',
  anyOf: [
    {
      ...closed,
      required: ['id', 'startedAt', 'durationMs'],
      properties: {
        id: { type: 'integer', description: 'The number of the cycle since the start.' },
        startedAt: time,
        durationMs: { type: 'number', description: 'How long the cycle took, in milliseconds.' },
      },
    },
    { type: 'null' },
  ],
} as const

const channelSchema = {
  ...closed,
  description: 'An alert channel, and the result of its last publish.',
  required: ['channel', 'publishedAt', 'error'],
  properties: {
    channel: { type: 'string', description: 'The name of the channel.' },
    publishedAt: { ...nullableTime, description: 'When a publish last succeeded; null before the first success.' },
    error: nullableError,
  },
} as const

const placeSchema = {
  ...closed,
  description: 'A project and region in which stacks are discovered by their labels.',
  required: ['project', 'region', 'status', 'observedAt', 'staleAt', 'stacks', 'problems', 'error'],
  properties: {
    project: { type: 'string' },
    region: { type: 'string' },
    status: {
      type: 'string',
      enum: ['in_sync', 'unknown'],
      description: 'Unknown if its list of resources is stale, or a label has a problem.',
    },
    observedAt: { ...nullableTime, description: 'When it was last listed completely; null before the first time.' },
    staleAt: { ...nullableTime, description: 'When that list becomes stale.' },
    stacks: {
      type: 'integer',
      description: 'The number of stacks that were discovered there, without those that the configuration lists.',
    },
    problems: {
      type: 'array',
      items: {
        ...closed,
        required: ['stack', 'message'],
        properties: {
          stack: { type: 'string', description: 'The stack that the labels name.' },
          message: { type: 'string', description: 'What the problem is.' },
        },
      },
    },
    error: nullableError,
  },
} as const

const configStateSchema = {
  ...closed,
  description: 'The state of the configuration file, which is reloaded when it changes.',
  required: ['loadedAt', 'error', 'needRestart'],
  properties: {
    loadedAt: { ...time, description: 'When the current configuration was read.' },
    error: { ...nullableError, description: 'Why the file was rejected; null if it was not.' },
    needRestart: { ...texts, description: 'Changed keys that take effect after a restart.' },
  },
} as const

const apiVersion = { type: 'string', const: 'driftwatch/v1' } as const

const generatedAt = { ...time, description: 'The time of the report.' } as const

/** `GET /drift`: every state of every stack. */
export const reportSchema = {
  ...closed,
  title: 'Report',
  description: 'Every state of every stack.',
  required: ['apiVersion', 'status', 'generatedAt', 'channels', 'cycle', 'error', 'notes', 'stacks'],
  properties: {
    apiVersion,
    status: {
      ...status,
      description: 'The worst status of all checks of all stacks and of all places, whatever the filter.',
    },
    generatedAt,
    channels: { type: 'array', items: channelSchema },
    cycle: cycleSchema,
    error: {
      ...nullableError,
      description: 'Why the report proves nothing as a whole: `NOTHING_WATCHED` or `TOO_FEW_STACKS`.',
    },
    notes: { ...texts, description: 'What affects no status, such as stacks that left in the last day.' },
    config: configStateSchema,
    discovery: { type: 'array', items: placeSchema, description: 'Absent without `discover` in the config.' },
    stacks: { type: 'array', items: stackSchema, description: 'The stacks that match the filter.' },
  },
} as const

/** `GET /drift/{stack}`: the stack's object of the report, with the report's own head. */
export const stackReportSchema = {
  ...closed,
  title: 'StackReport',
  description: 'One stack of the report. `status` is that of the stack.',
  required: ['apiVersion', 'status', 'generatedAt', 'cycle', 'name', 'project', 'region', 'checks'],
  properties: { apiVersion, generatedAt, cycle: cycleSchema, ...stackProperties },
} as const

/** `GET /drift/{stack}/{check}`: the check's object of the report, with the report's own head. */
export const checkReportSchema = {
  ...closed,
  title: 'CheckReport',
  description: 'One check of one stack of the report. `status` is that of the check.',
  required: ['apiVersion', 'generatedAt', 'cycle', 'stack', ...checkStateSchema.required],
  properties: {
    apiVersion,
    generatedAt,
    cycle: cycleSchema,
    stack: { type: 'string', description: 'The name of the stack in the configuration.' },
    check: checkName,
    ...stateProperties,
  },
} as const

export type Report = FromSchema<typeof reportSchema>
export type StackReport = FromSchema<typeof stackReportSchema>
export type CheckReport = FromSchema<typeof checkReportSchema>
type ReportedStack = Report['stacks'][number]
export type ReportedCheck = ReportedStack['checks'][number]
export type ReportedDifference = ReportedCheck['differences'][number]
export type ReportedPlace = NonNullable<Report['discovery']>[number]
export type ReportedConfig = NonNullable<Report['config']>
export type AnyReport = Report | StackReport | CheckReport

/** The state of an alert channel. */
export interface ChannelState {
  readonly channel: string
  /** When it last published everything; null before the first time. */
  readonly publishedAt: EpochMs | null
  /** Its last error, or the permission that it lacks; null if there is none. */
  readonly error: CheckError | null
}

/** The whole report. A filter hides checks, and stacks without a matching check; it changes no status. */
export function buildReport(snapshot: Snapshot, filter?: ReportFilter, channels: readonly ChannelState[] = []): Report {
  const { stacks } = selectStates(snapshot, filter)
  return {
    ...buildReportHead(snapshot, channels),
    stacks: stacks.map(({ stack, states }) => ({ ...buildStackHead(stack), checks: states.map(reportState) })),
  }
}

/** The report without its stacks, which come last. */
export function buildReportHead(snapshot: Snapshot, channels: readonly ChannelState[]): Omit<Report, 'stacks'> {
  const error = watchError(snapshot)
  return {
    apiVersion: 'driftwatch/v1',
    status: statusOfAll(snapshot),
    generatedAt: formatTime(snapshot.takenAt),
    channels: channels.map(reportChannel),
    cycle: reportCycle(snapshot),
    error: error && reportError(error),
    notes: [...snapshot.notes],
    ...(snapshot.config && { config: reportConfig(snapshot.config) }),
    ...(snapshot.discovery && { discovery: snapshot.discovery.map(place => reportPlace(place, snapshot.takenAt)) }),
  }
}

/** A stack of the report without its checks, which come last. */
export function buildStackHead(stack: StackStates): Omit<ReportedStack, 'checks'> {
  const { name, project, region, problems } = stack
  const status = statusOfStack(stack)
  return { name, status, project, region, ...(problems.length > 0 && { problems: [...problems] }) }
}

/** The part of the report for one stack, or null if there is no such stack. */
export function buildStackReport(snapshot: Snapshot, stackName: string): StackReport | null {
  const stack = findStack(snapshot, stackName)
  if (stack === undefined) return null
  const { status, ...head } = buildStackHead(stack)
  return { ...partHead(snapshot, status), ...head, checks: stack.states.map(reportState) }
}

/** The part of the report for one check, or null if there is no such stack or check. */
export function buildCheckReport(snapshot: Snapshot, stackName: string, checkName: string): CheckReport | null {
  const state = findStack(snapshot, stackName)?.states.find(({ check }) => check === checkName)
  if (state === undefined) return null
  const { check, status, ...rest } = reportState(state)
  return { ...partHead(snapshot, status), stack: stackName, check, ...rest }
}

function findStack(snapshot: Snapshot, stackName: string): StackStates | undefined {
  return snapshot.stacks.find(({ name }) => name === stackName)
}

function partHead(snapshot: Snapshot, status: Status) {
  const generatedAt = formatTime(snapshot.takenAt)
  return { apiVersion: 'driftwatch/v1', status, generatedAt, cycle: reportCycle(snapshot) } as const
}

function reportCycle({ cycle }: Snapshot): Report['cycle'] {
  return cycle && { id: cycle.id, startedAt: formatTime(cycle.startedAt), durationMs: cycle.durationMs }
}

/** Problems with its labels make a stack unknown, since the labels may mean other resources. */
function statusOfStack({ states, problems }: StackStates): Status {
  return worstStatus([...states.map(({ status }) => status), ...problems.map(() => 'unknown' as const)])
}

/** A check of the report. */
export function reportState(state: State): ReportedCheck {
  return {
    check: state.check,
    status: state.status,
    since: formatTime(state.since),
    observedAt: formatNullable(state.observedAt),
    staleAt: formatNullable(state.staleAt),
    summary: state.summary,
    differences: state.differences.map(({ path, kind, expected, actual, via, objects }) => ({
      path,
      kind,
      expected,
      actual,
      via,
      ...(objects && { objects: [...objects] }),
    })),
    notes: [...state.notes],
    fix: state.fix,
    advice: state.advice,
    error: state.error && reportError(state.error),
  }
}

function reportChannel({ channel, publishedAt, error }: ChannelState): Report['channels'][number] {
  return { channel, publishedAt: formatNullable(publishedAt), error: error && reportError(error) }
}

function reportConfig({ loadedAt, error, needRestart }: ConfigState): ReportedConfig {
  return { loadedAt: formatTime(loadedAt), error: error && reportError(error), needRestart: [...needRestart] }
}

function reportPlace(place: PlaceState, now: EpochMs): ReportedPlace {
  const { project, region, observedAt, staleAt, stacks, problems, error } = place
  return {
    project,
    region,
    status: placeStatus(place, now),
    observedAt: formatNullable(observedAt),
    staleAt: formatNullable(staleAt),
    stacks,
    problems: [...problems],
    error: error && reportError(error),
  }
}

function reportError({ code, message, at }: CheckError): NonNullable<ReportedCheck['error']> {
  return { code, message, at: formatTime(at) }
}

function formatNullable(moment: EpochMs | null): string | null {
  return moment === null ? null : formatTime(moment)
}
