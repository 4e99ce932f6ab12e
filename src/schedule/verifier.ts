import type { Check, CheckKind } from '../checks/check.ts'
import type { Finding } from '../checks/finding.ts'
import { type Deadline, startDeadline } from '../concurrency/deadline.ts'
import type { Stack } from '../config/config.ts'
import type { Outcome } from '../drift/store.ts'
import { type ErrorCode, errorTable } from '../errors.ts'
import type { ProbeResult } from '../probes/observe.ts'
import type { ProbeKind } from '../probes/probe.ts'
import { type CycleProbes, cachingKinds, type Probes } from '../probes/probes.ts'
import { createJudge } from './judge.ts'
import { judgeStack, type ObservedStack, type ObservingOptions, observeStack, runProbes } from './observe-stack.ts'
import { isSameVerdict, isSimilarVerdict, type Verification } from './verification.ts'

/** Observes the stacks of one cycle, and verifies those that are due. */
export interface Verifier {
  /**
   * If the stack is due, it is observed with nothing kept from before. A check whose fresh observation failed is decided
   * by an ordinary observation. If a finding is another one than in the cycle before, an ordinary observation shows
   * whether that comes from a change or from a wrong cache. Never rejects.
   */
  observe(stack: Stack, checks: readonly Check[]): Promise<ObservedStack>
  /** Closes the fresh connections, and drops what proved to be wrong. */
  close(): void
}

export interface VerifierListeners {
  /** A cached response was wrong. */
  onCacheMismatch(): void
}

interface VerifierOptions {
  readonly probes: Probes
  readonly verification: Verification
  readonly listeners: VerifierListeners
}

/** The share of the time after which fresh observations have failed, so that the ordinary ones still have time. */
const freshShare = 0.5

export function openVerifier(stacks: readonly Stack[], ordinary: ObservingOptions, options: VerifierOptions): Verifier {
  const due = options.verification.takeDue(stacks, ordinary.config)
  const observe = (stack: Stack, checks: readonly Check[]) => observeStack(stack, checks, ordinary)
  if (due.size === 0) return { observe, close() {} }
  const { clock, timeoutMs, ending, eventLoop } = ordinary.observeOptions
  const deadline = startDeadline(clock, (ordinary.observeOptions.deadline.at - clock.monotonic()) * freshShare, ending)
  const opened = options.probes.openFresh({ deadline, eventLoop, timeoutMs }, due)
  const fresh = freshOptions(ordinary, opened, deadline)
  const work: Verifying = { ordinary, fresh, ...options, isCacheWrong: false, failures: 0 }
  return {
    observe: (stack, checks) => (due.has(stack) ? verifyStack(stack, checks, work) : observe(stack, checks)),
    close() {
      deadline.cancel()
      opened.close()
      if (!ending.aborted) dropWhatIsWrong(work)
    },
  }
}

/** The verifications of one cycle. */
interface Verifying extends VerifierOptions {
  readonly ordinary: ObservingOptions
  readonly fresh: ObservingOptions
  isCacheWrong: boolean
  /** Stacks. */
  failures: number
}

async function verifyStack(stack: Stack, checks: readonly Check[], work: Verifying): Promise<ObservedStack> {
  const { verification } = work
  const observed = await observeStack(stack, checks, work.fresh)
  const found = new Map(observed.outcomes)
  const open = checks.filter(({ kind }) => isOpen(found.get(kind), verification.lastFinding(stack, kind)))
  if (open.length === 0) {
    verification.verified(stack)
    return observed
  }
  const usual = await repeatOrdinary(stack, open, observed.results, work)
  const failed = [...usual.outcomes].flatMap(([kind, outcome]) => unverifiedCode(found.get(kind), outcome) ?? [])
  if (failed.length === 0) verification.verified(stack)
  if (failed.some(code => code !== 'QUOTA_SPENT')) work.failures += 1
  return {
    results: observed.results.map(result => preferAnswer(result, usual.results)),
    outcomes: observed.outcomes.map(([kind, outcome]) => {
      return [kind, decide(stack, kind, outcome, usual.outcomes.get(kind) ?? outcome, work)]
    }),
  }
}

/** With cached responses, but with requests of its own: those of this cycle may be older than the fresh ones. */
async function repeatOrdinary(
  stack: Stack,
  checks: readonly Check[],
  results: ObservedStack['results'],
  { ordinary, probes }: Verifying,
) {
  const { deadline, eventLoop, timeoutMs } = ordinary.observeOptions
  const again = probes.open({ deadline, eventLoop, timeoutMs })
  try {
    const caching = again.probes.filter(({ kind }) => cachingKinds.has(kind))
    const repeated = await runProbes(stack, checks, { ...ordinary, probes: caching })
    const outcomes = await judgeStack(stack, checks, replaceResults(results, repeated), ordinary)
    return { results: repeated, outcomes: new Map(outcomes) }
  } finally {
    again.close()
  }
}

/** Decides between a fresh and an ordinary outcome. */
function decide(stack: Stack, check: CheckKind, found: Outcome, usual: Outcome, work: Verifying): Outcome {
  if (failureOf(found) !== null) return usual
  if (found.kind !== 'finding' || usual.kind !== 'finding' || failureOf(usual) !== null) return found
  if (isSameVerdict(found.finding, usual.finding)) return found
  work.isCacheWrong = true
  const before = work.verification.lastFinding(stack, check)
  if (before === null || !isSimilarVerdict(before, usual.finding)) return found
  work.listeners.onCacheMismatch()
  const fields = { stack: stack.name, check, cached: usual.finding.summary, fresh: found.finding.summary }
  work.ordinary.log.error(fields, 'cached responses were wrong; using the fresh ones')
  return found
}

function dropWhatIsWrong({ isCacheWrong, failures, probes, ordinary }: Verifying): void {
  if (isCacheWrong) probes.forget()
  if (failures === 0) return
  ordinary.log.info({ stacks: failures }, 'verification failed; replacing connections')
  probes.dropConnections()
}

/** Only the probes that keep something are replaced. Judging keeps nothing either. */
function freshOptions(ordinary: ObservingOptions, opened: CycleProbes, deadline: Deadline): ObservingOptions {
  const fresh = opened.probes
    .filter(({ kind }) => cachingKinds.has(kind))
    .map(probe => ({
      ...probe,
      observe: (stack: Stack) => Promise.race([probe.observe(stack, deadline), deadline.over]),
    }))
  const others = ordinary.probes.filter(({ kind }) => !cachingKinds.has(kind))
  return { ...ordinary, judge: createJudge(), probes: [...fresh, ...others] }
}

/** Whether a fresh outcome needs a comparison: it failed, or differs from the finding before. */
function isOpen(outcome: Outcome | undefined, before: Finding | null): boolean {
  if (outcome?.kind !== 'finding' || failureOf(outcome) !== null) return true
  return before !== null && !isSameVerdict(outcome.finding, before)
}

/** The code of an outcome that proves nothing because a request failed; otherwise null. */
function failureOf(outcome: Outcome): ErrorCode | null {
  const code = outcome.kind === 'failure' ? outcome.error.code : (outcome.finding.unknownReason?.code ?? null)
  if (code === null || outcome.kind === 'failure' || code === 'IMAGE_UNRESOLVED') return code
  return errorTable[code].logLevel === 'warn' ? code : null
}

/** Why a check was not verified. A system that rejects an ordinary request in the same way has answered. */
function unverifiedCode(fresh: Outcome | undefined, usual: Outcome): ErrorCode | null {
  const code = fresh ? failureOf(fresh) : null
  if (code === null) return null
  const isRejection = code === failureOf(usual) && !errorTable[code].retryable && code !== 'QUOTA_SPENT'
  return isRejection ? null : code
}

function replaceResults(
  results: readonly ProbeResult<ProbeKind>[],
  by: readonly ProbeResult<ProbeKind>[],
): readonly ProbeResult<ProbeKind>[] {
  return results.map(result => by.find(({ kind }) => kind === result.kind) ?? result)
}

function preferAnswer(result: ProbeResult<ProbeKind>, others: readonly ProbeResult<ProbeKind>[]) {
  return result.outcome === 'answered' ? result : (others.find(({ kind }) => kind === result.kind) ?? result)
}
