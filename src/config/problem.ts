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

/** Where there are problems, found without going through all of them: a file may have a hundred thousand. */
export interface ProblemIndex {
  /** Whether neither the value itself nor anything that it stands in has a problem. */
  isThere(path: ConfigPath): boolean
  /** Whether nothing in the value has one either. */
  isSound(path: ConfigPath): boolean
}

export function indexProblems(problems: readonly Problem[]): ProblemIndex {
  const at = new Set(problems.map(({ path }) => formatPath(path)))
  const around = new Set(problems.flatMap(({ path }) => beginningsOf(path)))
  const isThere = (path: ConfigPath) => !beginningsOf(path).some(beginning => at.has(beginning))
  return { isThere, isSound: path => isThere(path) && !around.has(formatPath(path)) }
}

/** Of the whole config, of what is in it, and so on up to the path itself. */
function beginningsOf(path: ConfigPath): string[] {
  return [...path, ''].map((_, length) => formatPath(path.slice(0, length)))
}
