// Preloaded into every measured process, Driftwatch and floor alike: runs the work on request, and reports the cost.
// JavaScript, like everything that is measured, so that stripping types costs nothing.
import { writeSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'

/** The measured process sets its work here. */
globalThis.benchWork = () => Promise.reject(new Error('no work was set'))

/** Starts a measurement; the returned function ends it and returns the usage. */
function begin() {
  const delays = monitorEventLoopDelay({ resolution: 1 })
  delays.enable()
  const [start, before] = [performance.now(), process.cpuUsage()]
  return () => {
    const { user, system } = process.cpuUsage(before)
    const wallMs = performance.now() - start
    delays.disable()
    return { wallMs, cpuMs: (user + system) / 1000, rss: process.memoryUsage.rss(), longestBlockMs: delays.max / 1e6 }
  }
}

async function work(times) {
  const end = begin()
  for (let done = 0; done < times; done += 1) await globalThis.benchWork()
  return end()
}

let end = () => null

const answers = {
  work,
  begin() {
    end = begin()
    return null
  },
  end: () => end(),
}

if (process.send) {
  process.on('message', async ({ ask, times }) => {
    if (ask in answers) process.send(await answers[ask](times))
  })
}

if (process.env.BENCH_USAGE_FD) {
  process.once('exit', () => {
    const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage()
    writeSync(
      Number(process.env.BENCH_USAGE_FD),
      JSON.stringify({ cpuMs: (userCPUTime + systemCPUTime) / 1000, maxRSS }),
    )
  })
}
