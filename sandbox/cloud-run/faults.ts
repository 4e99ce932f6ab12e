/** What goes wrong: the first fault that fits a call is what happens to it. */
export interface Fault {
  /** `GetService`, `List*`, `*`: a method's name. All methods if left out. */
  readonly method?: string
  /** What the call is about, by full name or any of its last segments: `runtime`, `services/*`. All if left out. */
  readonly resource?: string
  /** The gRPC code to answer with: `PERMISSION_DENIED`, `UNAVAILABLE`, ... */
  readonly code?: string
  /** The message of the error; Google's wording if left out. */
  readonly message?: string
  /** Only the first so many calls; all if left out. */
  readonly times?: number
  /** How long the answer takes; without a code it is then the right one. */
  readonly latencyMs?: number
  /** No answer ever comes. */
  readonly hang?: boolean
  /** The answer is a message without any field. */
  readonly empty?: boolean
}
