/** The path of a value in a config: `['stacks', 0, 'job']`. */
export type ConfigPath = readonly (string | number)[]

/** A problem of a config and its position. */
export interface Problem {
  readonly path: ConfigPath
  /** The position: of the value, of its key, or an offset of the file. */
  readonly at: 'value' | 'key' | number
  readonly message: string
}

/** Formats a path as `stacks[0].job.maxDuration`; empty for the whole config. */
export function formatPath(path: ConfigPath): string {
  const steps = path.map(step => {
    if (typeof step === 'number') return `[${step}]`
    return /^[A-Za-z_][A-Za-z0-9_-]*$/.test(step) ? `.${step}` : `[${JSON.stringify(step)}]`
  })
  return steps.join('').replace(/^\./, '')
}

/** Finds problems by path without iterating over all: a file may have a hundred thousand. */
interface ProblemIndex {
  /** Whether neither the value nor any value around it has a problem. */
  isThere(path: ConfigPath): boolean
  /** Whether the value exists and no value inside it has a problem. */
  isSound(path: ConfigPath): boolean
}

export function indexProblems(problems: readonly Problem[]): ProblemIndex {
  const at = new Set(problems.map(({ path }) => formatPath(path)))
  const around = new Set(problems.flatMap(({ path }) => beginningsOf(path)))
  const isThere = (path: ConfigPath) => !beginningsOf(path).some(beginning => at.has(beginning))
  return { isThere, isSound: path => isThere(path) && !around.has(formatPath(path)) }
}

/** The formatted prefixes of a path, from the whole config to the path itself. */
function beginningsOf(path: ConfigPath): string[] {
  return [...path, ''].map((_, length) => formatPath(path.slice(0, length)))
}
