/** One thing that a command would do, in words. */
export interface PlannedStep {
  readonly name: string
  readonly text: string
}
