/** One instruction, continued lines joined: `COPY`, and the rest of the line. */
export interface Instruction {
  readonly keyword: string
  readonly rest: string
}

/** The instructions from one `FROM` to the next. */
export interface Stage {
  /** Its name, or its number if it has none. */
  readonly name: string
  readonly base: string
  readonly instructions: readonly Instruction[]
}

/** The stages of a Dockerfile, in order. Throws for an instruction before the first `FROM`. */
export function parseDockerfile(text: string): Stage[] {
  const stages: { name: string; base: string; instructions: Instruction[] }[] = []
  for (const instruction of instructionsOf(text)) {
    if (instruction.keyword === 'FROM') {
      const [base = '', , name = String(stages.length)] = instruction.rest.split(/\s+/)
      stages.push({ name, base, instructions: [] })
    } else {
      const stage = stages.at(-1)
      if (!stage) throw new Error(`${instruction.keyword} before the first FROM`)
      stage.instructions.push(instruction)
    }
  }
  return stages
}

function instructionsOf(text: string): Instruction[] {
  return text
    .replaceAll(/^\s*#.*\n/gm, '')
    .replaceAll(/\\\n/g, ' ')
    .split('\n')
    .filter(line => line.trim() !== '')
    .map(line => {
      const [keyword = '', ...rest] = line.trim().split(' ')
      return { keyword: keyword.toUpperCase(), rest: rest.join(' ').trim() }
    })
}

/** The last value of an instruction in a stage, or null. */
export function lastOf(stage: Stage, keyword: string): string | null {
  return stage.instructions.findLast(instruction => instruction.keyword === keyword)?.rest ?? null
}

/** The source of a `COPY`: the build context if `stage` is null. */
export interface Copy {
  readonly stage: string | null
  readonly sources: readonly string[]
  readonly target: string
}

export function parseCopy(rest: string): Copy {
  const words = rest.split(/\s+/)
  const [flag] = words
  const stage = flag?.startsWith('--from=') ? flag.slice('--from='.length) : null
  const paths = stage === null ? words : words.slice(1)
  return { stage, sources: paths.slice(0, -1), target: paths.at(-1) ?? '' }
}

/** The arguments of an instruction in the exec form, which runs without a shell. Throws for the shell form. */
export function execForm(rest: string | null): string[] {
  const words: unknown = JSON.parse(rest ?? '[]')
  if (Array.isArray(words) && words.every(word => typeof word === 'string')) return words
  throw new Error(`${rest} is not in the exec form`)
}
