// Preloaded into every process that is measured, Driftwatch and floor alike: does the work when asked, and says what that
// cost. JavaScript, as all that is measured: nobody is to pay for stripping types.
import { writeSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'

/** Whoever is measured says here what its work is. */
globalThis.benchWork = () => Promise.reject(new Error('it has no work'))

/** Begins to measure; what it returns ends that, and says what was used meanwhile. */
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
