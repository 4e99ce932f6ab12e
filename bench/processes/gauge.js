// Preloaded into every process that is measured, Driftwatch and floor alike: does the work when asked, and says what that
// cost. JavaScript, as all that is measured: nobody is to pay for stripping types.
import { writeSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'

/** A floor says here what its work is. That of Driftwatch is a cycle: what its schedule runs, back to back. */
globalThis.benchWork = async () => {
  const { getTasks } = await import('node-cron')
  const [task] = getTasks().values()
  await task.execute()
}

async function measure(times) {
  const delays = monitorEventLoopDelay({ resolution: 1 })
  delays.enable()
  const [begin, before] = [performance.now(), process.cpuUsage()]
  for (let done = 0; done < times; done += 1) await globalThis.benchWork()
  const { user, system } = process.cpuUsage(before)
  const wallMs = performance.now() - begin
  delays.disable()
  return { wallMs, cpuMs: (user + system) / 1000, rss: process.memoryUsage.rss(), longestBlockMs: delays.max / 1e6 }
}

if (process.send) process.on('message', async ({ times }) => times && process.send(await measure(times)))

if (process.env.BENCH_USAGE_FD) {
  process.once('exit', () => {
    const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage()
    writeSync(
      Number(process.env.BENCH_USAGE_FD),
      JSON.stringify({ cpuMs: (userCPUTime + systemCPUTime) / 1000, maxRSS }),
    )
  })
}
