import { createRequire } from 'node:module'
import { setTimeout as delay } from 'node:timers/promises'
import {
  type Metadata,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
} from '@grpc/grpc-js'
import { fromJSON } from '@grpc/proto-loader'
import { type CallLog, createCallLog } from './cloud-run/calls.ts'
import { type Fault, faultPicker, refusalOf } from './cloud-run/faults.ts'
import { codeName, isRefusal, refusal, usualDetails } from './cloud-run/refusal.ts'
import type { Series } from './monitoring/aggregate.ts'
import { createIncidents, type Incident } from './monitoring/incidents.ts'
import { createPolicyStore, type Policy, type PolicyStore } from './monitoring/policies.ts'
import { assertAllowed, type Role } from './monitoring/roles.ts'
import { createSeriesStore, projectOf, type SeriesStore } from './monitoring/series.ts'
import { createTelemetry, type Telemetry, type TelemetryWorld } from './monitoring/telemetry.ts'

type Message = Record<string, unknown>

export interface MonitoringOptions {
  /** Default 0: any free port. */
  readonly port?: number
  /** The clock for series and policies; default: the system clock. */
  readonly now?: () => number
  /** The roles of the caller; default: all. */
  readonly roles?: readonly Role[]
  /** The required access token; default: none. */
  readonly token?: string
  /** The full resource names of the existing channels. */
  readonly notificationChannels?: readonly string[]
  /** The telemetry of the Cloud Run services in every project and region. */
  readonly telemetry?: TelemetryWorld
  /** How long a new metric is unknown to policies; default 0 (Google: minutes). */
  readonly metricKnownAfterMs?: number
  /** How long a new policy is missing from lists; default 0. Google promises nothing. */
  readonly policyListedAfterMs?: number
  /** Called when an incident opens or closes. */
  readonly onIncident?: (incident: Incident) => void
}

/**
 * An emulator of Cloud Monitoring: metrics, alert policies, notification channels and uptime checks over gRPC on
 * 127.0.0.1, without TLS. It evaluates the policies on the series that it receives.
 */
export interface Monitoring {
  /** `127.0.0.1:PORT`, for MONITORING_EMULATOR_HOST. */
  readonly host: string
  readonly calls: CallLog
  /** All incidents, oldest first. */
  readonly incidents: readonly Incident[]
  policies(): Policy[]
  /** The series of a project that match a filter, such as `metric.type = "..."`. */
  series(project: string, filter: string): Series[]
  /** The existing uptime checks. */
  uptimeChecks(): Message[]
  /** Creates what another client would create: a policy, or a metric of another kind. */
  createPolicy(project: string, policy: Message): void
  createDescriptor(project: string, descriptor: Message): void
  setRoles(roles: readonly Role[]): void
  setFaults(faults: readonly MonitoringFault[]): void
  setTelemetry(telemetry: TelemetryWorld): void
  /** Evaluates the policies up to now. */
  evaluate(): void
  close(): Promise<void>
}

const protos = createRequire(import.meta.url)('@google-cloud/monitoring/build/protos/protos.json')

/** The duration of a policy write, during which other writes are rejected. */
const policyWriteMs = 3

const mostOnPage = 100

type Method = (request: Message) => Message

/** A simulated failure of a call. */
export interface MonitoringFault extends Fault {
  /** The request is executed, but its response is lost. */
  readonly afterwards?: boolean
}

/** Starts an emulator. Rejects if the port is in use. */
export async function startMonitoring(options: MonitoringOptions = {}): Promise<Monitoring> {
  const { now = Date.now, onIncident = () => {}, metricKnownAfterMs = 0 } = options
  const channels = new Set(options.notificationChannels ?? [])
  const telemetry = createTelemetry(now, options.telemetry)
  const series = createSeriesStore(now, () => metricKnownAfterMs)
  const policies = createPolicyStore(now, series, channels, options.policyListedAfterMs)
  const incidents = createIncidents(now, series, policies, onIncident)
  const uptimeChecks = new Map<string, Message>()
  const calls = createCallLog()
  let roles: readonly Role[] = options.roles ?? ['roles/monitoring.editor']
  let pickFault = faultPicker([])
  let writing = false

  async function answer(method: string, request: Message, handle: Method): Promise<Message> {
    const resource = resourceOf(request)
    const fault: MonitoringFault | null = pickFault(method, resource)
    if (fault?.hang) return new Promise(() => {})
    if (fault?.latencyMs) await delay(fault.latencyMs)
    const refused = fault && refusalOf(fault, method, resource)
    if (refused && fault?.afterwards) handle(request)
    if (refused) throw refused
    assertAllowed(method, roles)
    if (!/^(Create|Update|Delete)AlertPolicy$/.test(method)) return handle(request)
    if (writing) throw refusal('ABORTED', 'Too many concurrent edits to the project configuration. Please try again.')
    writing = true
    try {
      await delay(policyWriteMs)
      return handle(request)
    } finally {
      writing = false
    }
  }

  const server = serve(
    methodsOf(series, telemetry, policies, channels, uptimeChecks),
    async (name, method, { request, metadata }, reply) => {
      const call = { method: name, resource: resourceOf(request), pageSize: 0, pageToken: '', code: null as never }
      calls.record(call)
      const set = (code: string) => Object.assign(call, { code })
      try {
        assertKnown(metadata, options.token)
        const message = await answer(name, request, method)
        set('OK')
        reply(null, message)
      } catch (thrown) {
        const error = isRefusal(thrown) ? thrown : refusal('INTERNAL', `the emulator failed: ${thrown}`)
        set(codeName(error.code))
        reply(error)
      }
    },
  )
  const port = await listen(server, options.port ?? 0)
  return {
    host: `127.0.0.1:${port}`,
    calls,
    incidents: incidents.all,
    policies: () => [...policies.all.values()],
    series: (project, filter) => series.matching(project, filter),
    uptimeChecks: () => [...uptimeChecks.values()],
    createPolicy: (project, policy) => void policies.create({ name: `projects/${project}`, alertPolicy: policy }),
    createDescriptor: (project, descriptor) =>
      void series.createDescriptor({ name: `projects/${project}`, metricDescriptor: descriptor }),
    setRoles(held) {
      roles = held
    },
    setTelemetry: telemetry.set,
    setFaults(faults) {
      pickFault = faultPicker(faults)
    },
    evaluate: () => incidents.evaluate(),
    async close() {
      const closed = new Promise(resolve => server.tryShutdown(resolve))
      server.forceShutdown()
      await closed
    },
  }
}

function assertKnown(metadata: Metadata, token: string | undefined): void {
  if (token === undefined || metadata.get('authorization').includes(`Bearer ${token}`)) return
  throw refusal('UNAUTHENTICATED', usualDetails('UNAUTHENTICATED', '', ''))
}

function resourceOf({ name, parent, alertPolicy, uptimeCheckConfig }: Message): string {
  const inner = (alertPolicy ?? uptimeCheckConfig) as Message | undefined
  return String(name || parent || inner?.name || '')
}

function methodsOf(
  series: SeriesStore,
  telemetry: Telemetry,
  policies: PolicyStore,
  channels: ReadonlySet<string>,
  uptimeChecks: Map<string, Message>,
): Record<string, Record<string, Method>> {
  return {
    MetricService: {
      CreateTimeSeries: series.createTimeSeries,
      CreateMetricDescriptor: series.createDescriptor,
      GetMetricDescriptor: ({ name }) => series.getDescriptor(String(name)),
      ListTimeSeries: request => telemetry.list(request) ?? series.listTimeSeries(request),
    },
    AlertPolicyService: {
      ListAlertPolicies: request => policies.list(request, mostOnPage),
      GetAlertPolicy: ({ name }) => policies.get(String(name)),
      CreateAlertPolicy: policies.create,
      UpdateAlertPolicy: policies.update,
      DeleteAlertPolicy: ({ name }) => policies.delete(String(name)),
    },
    NotificationChannelService: {
      GetNotificationChannel({ name }) {
        if (!channels.has(String(name))) throw refusal('NOT_FOUND', `Notification channel not found: ${name}`)
        return { name, type: 'email', enabled: { value: true } }
      },
      ListNotificationChannels: () => ({ notificationChannels: [...channels].map(name => ({ name, type: 'email' })) }),
    },
    UptimeCheckService: uptimeMethods(uptimeChecks),
  }
}

function uptimeMethods(all: Map<string, Message>): Record<string, Method> {
  let lastId = 0
  const known = (name: unknown) => {
    const found = all.get(String(name))
    if (!found) throw refusal('NOT_FOUND', `Uptime check configuration ${name} does not exist.`)
    return found
  }
  const put = (check: Message) => {
    all.set(String(check.name), check)
    return check
  }
  return {
    ListUptimeCheckConfigs: ({ parent }) => ({
      uptimeCheckConfigs: [...all.values()].filter(({ name }) => String(name).startsWith(`${parent}/`)),
    }),
    GetUptimeCheckConfig: ({ name }) => known(name),
    CreateUptimeCheckConfig: ({ parent, uptimeCheckConfig }) =>
      put({
        ...(uptimeCheckConfig as Message),
        name: `projects/${projectOf(parent)}/uptimeCheckConfigs/gate-${++lastId}`,
      }),
    UpdateUptimeCheckConfig({ uptimeCheckConfig, updateMask }) {
      const check = uptimeCheckConfig as Message
      const fields = ((updateMask as { paths?: string[] } | null)?.paths ?? []).map(path =>
        path.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
      )
      if (fields.length === 0) return put(check)
      return put({ ...known(check.name), ...Object.fromEntries(fields.map(field => [field, check[field]])) })
    },
    DeleteUptimeCheckConfig({ name }) {
      known(name)
      all.delete(String(name))
      return {}
    },
  }
}

type Reply = sendUnaryData<Message>

/** A server of these methods; all others are UNIMPLEMENTED. */
function serve(
  methods: Record<string, Record<string, Method>>,
  handle: (name: string, method: Method, call: ServerUnaryCall<Message, Message>, reply: Reply) => Promise<void>,
): Server {
  const definitions = fromJSON(protos, { keepCase: false, longs: String, enums: String, defaults: true })
  const server = new Server({ 'grpc.max_receive_message_length': -1 })
  for (const [service, implemented] of Object.entries(methods)) {
    const handlers = Object.entries(implemented).map(([name, method]) => [
      name,
      (call: ServerUnaryCall<Message, Message>, reply: Reply) => void handle(name, method, call, reply),
    ])
    server.addService(definitions[`google.monitoring.v3.${service}`] as ServiceDefinition, Object.fromEntries(handlers))
  }
  return server
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound)
      else reject(error)
    })
  })
}
