/** How long writes take, in milliseconds, and how they end. */
export interface WriteBehaviour {
  readonly jobUpdateMs: number
  readonly rolloutMs: number
  readonly executionMs: number
  /** From the cancellation of an execution to its end. */
  readonly cancellationMs: number
  /** Maximum of concurrent executions in a project and region. */
  readonly executionLimit: number
  readonly rollout: 'succeeds' | 'fails' | 'never-ends'
  readonly execution: 'succeeds' | 'fails' | 'never-ends'
  /** Whether a revision shows the digest of its tag, as it usually does. */
  readonly showsDigest: boolean
}

export const usual: WriteBehaviour = {
  jobUpdateMs: 400,
  rolloutMs: 1500,
  executionMs: 3000,
  cancellationMs: 1000,
  executionLimit: 50,
  rollout: 'succeeds',
  execution: 'succeeds',
  showsDigest: true,
}
