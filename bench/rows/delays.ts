import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { startCloudRun } from '../../sandbox/cloud-run.ts'
import { buildFleet } from '../../sandbox/fleet.ts'
import type { JsonObject } from '../../sandbox/merge-patch.ts'
import { startMonitoring } from '../../sandbox/monitoring.ts'
import { loadWorld } from '../../sandbox/world.ts'
import { noPrometheus, startPrometheus } from '../../test/helpers/prometheus.ts'
import { root, startChild } from '../child.ts'
import { fleetConfig } from '../fleet.ts'
import type { Measurement, Row } from '../row.ts'

/** The maximum delays according to configuration, rules and policies. */
const waits = {
  interval: 10_000,
  scrape: 1000,
  rule: 30_000,
  for: 60_000,
  alignment: 60_000,
  hold: 60_000,
  step: 30_000,
}
const toReport = waits.interval
const toAlert = waits.interval + waits.scrape + waits.rule + waits.for
const toIncident = waits.interval + waits.alignment + waits.hold + waits.step

const onCall = 'projects/openagentsgemini/notificationChannels/1'

/** When the drift of each stack became visible, by place. */
type Seen = Map<string, number>

export const delays: Row = {
  name: 'delays',
  title: 'time until drift is visible',
  floor: 'the maximum delay of schedule, scrape, rules and policies',
  quick: false,
  async measure({ rounds }) {
    const world = await startWorld(rounds)
    try {
      const happened: Seen = new Map()
      const shown = { report: new Map(), alert: new Map(), incident: new Map() } satisfies Record<string, Seen>
      for (const name of world.names) {
        // Right after a probe: the latest possible detection.
        await world.nextCycle()
        world.drift(name)
        happened.set(name, Date.now())
        await until(async () => {
          await world.look(shown)
          return shown.report.has(name)
        })
      }
      await until(async () => {
        await world.look(shown)
        const wanted = noPrometheus ? [shown.incident] : [shown.incident, shown.alert]
        return wanted.every(seen => seen.size === rounds)
      })
      const delayOf = (at: string, seen: Seen, longest: number): Measurement => ({
        at,
        unit: 'ms',
        ours: world.names.map(name => (seen.get(name) ?? Number.NaN) - (happened.get(name) ?? 0)),
        floor: world.names.map(() => longest),
        wanted: { kind: 'plus at most', ms: 1000 },
      })
      return [
        delayOf('in `/drift`', shown.report, toReport),
        ...(noPrometheus ? [] : [delayOf('as a Prometheus alert', shown.alert, toAlert)]),
        delayOf('as an incident in the emulated Cloud Monitoring', shown.incident, toIncident),
      ]
    } finally {
      await world.close()
    }
  },
}

/** The service in real time, with all receivers of alerts. */
async function startWorld(stacks: number) {
  const { names, patch } = buildFleet(stacks)
  const since = Date.now()
  const drifted = new Map<string, JsonObject>()
  const worldOf = () =>
    loadWorld({ ...patch, jobs: { ...(patch.jobs as JsonObject), ...Object.fromEntries(drifted) } }, since, since)
  const cloudRun = await startCloudRun({ world: worldOf() })
  const monitoring = await startMonitoring({ notificationChannels: [onCall] })
  const evaluating = setInterval(() => monitoring.evaluate(), 100)
  const directory = mkdtempSync(join(tmpdir(), 'driftwatch-bench-'))
  const config = join(directory, 'driftwatch.yaml')
  const alerts = { policies: 'manage', notificationChannels: [onCall] }
  writeFileSync(config, JSON.stringify({ ...fleetConfig(names), schedule: '*/10 * * * * *', staleAfter: '2m', alerts }))
  const service = startChild({
    file: 'dist/main.js',
    args: ['serve', '--config', config],
    env: { CLOUD_RUN_EMULATOR_HOST: cloudRun.host, MONITORING_EMULATOR_HOST: monitoring.host, PORT: '0' },
    measured: false,
  })
  const { port } = await service.logged('listening')
  const rules = readFileSync(new URL('deploy/prometheus/driftwatch.rules.yaml', root), 'utf8')
  const prometheus = noPrometheus ? null : await startPrometheus({ directory, target: `127.0.0.1:${port}`, rules })
  await until(() => monitoring.policies().length > 0)

  async function report() {
    const response = await fetch(`http://127.0.0.1:${port}/drift`)
    return (await response.json()) as {
      readonly cycle: { readonly id: number } | null
      readonly stacks: readonly { readonly name: string; readonly status: string }[]
    }
  }

  return {
    names,
    async nextCycle() {
      const before = (await report()).cycle?.id
      await until(async () => (await report()).cycle?.id !== before)
    },
    /** The job keeps its old image. */
    drift(name: string) {
      const job = structuredClone((patch.jobs as JsonObject)[`${name}-migrate`]) as JsonObject
      const text = JSON.stringify(job).replaceAll(':7f2e91c', ':41c3d0a')
      drifted.set(`${name}-migrate`, JSON.parse(text) as JsonObject)
      cloudRun.setWorld(worldOf())
    },
    /** Records what has become visible. */
    async look(shown: { readonly report: Seen; readonly alert: Seen; readonly incident: Seen }) {
      const note = (seen: Seen, found: readonly (string | undefined)[], at = Date.now()) => {
        for (const name of found) if (name !== undefined && !seen.has(name)) seen.set(name, at)
      }
      const { stacks } = await report()
      note(
        shown.report,
        stacks.filter(({ status }) => status === 'drifted').map(({ name }) => name),
      )
      const firing = (await prometheus?.firing()) ?? []
      note(
        shown.alert,
        firing.filter(alert => alert.startsWith('DriftwatchDrifted ')).map(alert => alert.split(' ')[1]),
      )
      note(
        shown.incident,
        monitoring.incidents.map(({ labels }) => labels.stack),
      )
    },
    async close() {
      clearInterval(evaluating)
      await Promise.all([service.close(), prometheus?.close()])
      await Promise.all([cloudRun.close(), monitoring.close()])
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

const timeoutMs = 300_000

async function until(isSo: () => Promise<boolean> | boolean): Promise<void> {
  const end = Date.now() + timeoutMs
  while (!(await isSo())) {
    if (Date.now() > end) throw new Error(`the drift was not visible within ${timeoutMs} ms`)
    await delay(20)
  }
}
