/** How long what is written takes, in milliseconds, and how it ends. */
export interface WriteBehaviour {
  readonly jobUpdateMs: number
  readonly rolloutMs: number
  readonly executionMs: number
  /** How long an execution that is cancelled takes to end. */
  readonly cancellationMs: number
  /** Executions that may run at once in a project and region. */
  readonly executionLimit: number
  readonly rollout: 'succeeds' | 'fails' | 'never-ends'
  readonly execution: 'succeeds' | 'fails' | 'never-ends'
  /** Whether a revision shows the digest that its tag had, as Cloud Run usually does. */
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
