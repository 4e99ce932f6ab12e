import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'

const binaries = ['/usr/bin/prometheus', '/usr/bin/promtool', '/usr/bin/prometheus-alertmanager'] as const
const [prometheus, promtool, alertmanager] = binaries

/** The reason to skip a test if Prometheus is not installed, else false. In CI it is never skipped. */
export const noPrometheus: string | false = whyNoPrometheus()

function whyNoPrometheus(): string | false {
  const missing = binaries.filter(binary => !existsSync(binary))
  if (missing.length === 0 || process.env.CI === 'true') return false
  return `not installed: ${missing.join(', ')}: apt-get install prometheus prometheus-alertmanager`
}

export interface PromtoolResult {
  /** 0: all tests passed. */
  readonly code: number
  readonly output: string
}

/** Runs `promtool` with this input, and waits for its end. */
export function runPromtool(args: readonly string[], input = ''): Promise<PromtoolResult> {
  return new Promise((resolve, reject) => {
    const child = execFile(promtool, args, (error, stdout, stderr) => {
      if (error && typeof error.code !== 'number') reject(error)
      else resolve({ code: Number(error?.code ?? 0), output: stdout + stderr })
    })
    // It may end before it has read everything.
    child.stdin?.on('error', () => {}).end(input)
  })
}

type Labels = Readonly<Record<string, string>>

export interface Sample {
  readonly metric: Labels
  /** The time in seconds since 1970, and the value. */
  readonly value: readonly [number, string]
}

export interface PrometheusOptions {
  /** Contains the config, the rules and the samples. If it was used before, its samples are kept. */
  readonly directory: string
  /** `127.0.0.1:PORT` to scrape every second, as job `driftwatch`. */
  readonly target: string
  /** The content of the rules file. */
  readonly rules: string
  /** `127.0.0.1:PORT` */
  readonly alertmanager?: string
}

export interface Prometheus {
  /** The current result of an expression. Rejects with Prometheus's message if it rejects the expression. */
  query(expression: string): Promise<readonly Sample[]>
  /** The firing alerts, with stack and check: `DriftwatchDrifted runtime job-image`. */
  firing(): Promise<readonly string[]>
  close(): Promise<void>
}

/** Starts Debian's `prometheus` on a free port and waits until it is ready. */
export async function startPrometheus(options: PrometheusOptions): Promise<Prometheus> {
  const { directory } = options
  await writeFile(join(directory, 'rules.yaml'), options.rules)
  await writeFile(join(directory, 'prometheus.yaml'), JSON.stringify(prometheusConfig(options)))
  const host = await freeHost()
  const process = await startProcess(
    prometheus,
    [
      `--config.file=${join(directory, 'prometheus.yaml')}`,
      `--storage.tsdb.path=${join(directory, 'data')}`,
      `--web.listen-address=${host}`,
      '--log.level=warn',
    ],
    `http://${host}/-/ready`,
  )
  const query = async (expression: string): Promise<readonly Sample[]> => {
    const response = await fetch(`http://${host}/api/v1/query`, {
      method: 'POST',
      body: new URLSearchParams({ query: expression }),
    })
    const answer = (await response.json()) as { error?: string; data: { resultType: string; result: Sample[] } }
    if (answer.error !== undefined) throw new Error(`${answer.error}: ${expression}`)
    if (answer.data.resultType !== 'vector') throw new Error(`not a vector: ${expression}`)
    return answer.data.result
  }
  return {
    query,
    async firing() {
      const response = await fetch(`http://${host}/api/v1/alerts`)
      const { data } = (await response.json()) as { data: { alerts: { state: string; labels: Labels }[] } }
      return data.alerts
        .filter(({ state }) => state === 'firing')
        .map(({ labels }) => [labels.alertname, labels.stack, labels.check].filter(Boolean).join(' '))
        .toSorted()
    },
    close: process.close,
  }
}

/** JSON is YAML. */
function prometheusConfig({ directory, target, alertmanager }: PrometheusOptions) {
  return {
    global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
    rule_files: [join(directory, 'rules.yaml')],
    scrape_configs: [{ job_name: 'driftwatch', static_configs: [{ targets: [target] }] }],
    ...(alertmanager !== undefined && {
      alerting: { alertmanagers: [{ static_configs: [{ targets: [alertmanager] }] }] },
    }),
  }
}

export interface Alertmanager {
  /** `127.0.0.1:PORT` */
  readonly host: string
  close(): Promise<void>
}

/** Starts Debian's `prometheus-alertmanager`, which sends every alert and its resolution to `webhook` at once. */
export async function startAlertmanager(directory: string, webhook: string): Promise<Alertmanager> {
  const config = {
    route: { receiver: 'test', group_by: ['...'], group_wait: '0s', group_interval: '1s', repeat_interval: '1h' },
    receivers: [{ name: 'test', webhook_configs: [{ url: webhook, send_resolved: true }] }],
  }
  await writeFile(join(directory, 'alertmanager.yaml'), JSON.stringify(config))
  const host = await freeHost()
  const process = await startProcess(
    alertmanager,
    [
      `--config.file=${join(directory, 'alertmanager.yaml')}`,
      `--storage.path=${join(directory, 'alertmanager')}`,
      `--web.listen-address=${host}`,
      '--cluster.listen-address=',
      '--log.level=warn',
    ],
    `http://${host}/-/ready`,
  )
  return { host, close: process.close }
}

/** A new directory, which `remove` deletes. */
export async function openDirectory(): Promise<{ readonly path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'driftwatch-prometheus-'))
  return { path, remove: () => rm(path, { recursive: true, force: true }) }
}

/** Polls `look` until it returns a value. After a minute, rejects with what it waited for. */
export async function eventually<T>(what: string, look: () => Promise<T | null | undefined | false>): Promise<T> {
  const end = Date.now() + 60_000
  while (Date.now() < end) {
    const found = await look()
    if (found !== null && found !== undefined && found !== false) return found
    await delay(100)
  }
  throw new Error(`not within a minute: ${what}`)
}

/** Starts a server and waits until `readyUrl` responds. The server ends with this process. */
async function startProcess(binary: string, args: readonly string[], readyUrl: string) {
  const child = spawn(binary, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  const words: string[] = []
  createInterface(child.stderr).on('line', line => words.push(line))
  let ended = false
  const end = once(child, 'close').finally(() => {
    ended = true
    process.removeListener('exit', kill)
  })
  const close = async () => {
    child.kill('SIGTERM')
    const patience = setTimeout(kill, 5000)
    await end
    clearTimeout(patience)
  }
  try {
    await eventually(`${binary} is ready`, async () => {
      if (ended) throw new Error(`${binary} did not start`)
      return fetch(readyUrl).then(
        response => response.ok,
        () => false,
      )
    })
  } catch (error) {
    if (!ended) await close()
    throw new Error([(error as Error).message, ...words].join('\n'))
  }
  return { close }
}

function freeHost(): Promise<string> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(`127.0.0.1:${port}`))
    })
  })
}
