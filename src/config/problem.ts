/** Where in a config a value is: `['stacks', 0, 'job']`. */
export type ConfigPath = readonly (string | number)[]

/** What is wrong with a config, and where. */
export interface Problem {
  readonly path: ConfigPath
  /** What is meant: the value, its key, or the text at an offset of the file. */
  readonly at: 'value' | 'key' | number
  readonly message: string
}

/** `stacks[0].job.maxDuration`, as people write a path; empty for the whole config. */
export function formatPath(path: ConfigPath): string {
  const steps = path.map(step => {
    if (typeof step === 'number') return `[${step}]`
    return /^[A-Za-z_][A-Za-z0-9_-]*$/.test(step) ? `.${step}` : `[${JSON.stringify(step)}]`
  })
  return steps.join('').replace(/^\./, '')
}

/** Whether `inner` is `outer` itself or something in it. */
export function isWithin(inner: ConfigPath, outer: ConfigPath): boolean {
  return outer.length <= inner.length && outer.every((step, index) => step === inner[index])
}
