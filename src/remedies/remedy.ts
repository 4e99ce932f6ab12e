/** What fixes the differences of a check. */
export interface Remedy {
  /** Shell commands, one a line, or null: no command fixes it. */
  readonly fix: string | null
  /** Full sentences: the reason for the commands, or what to decide where there is none. Null: nothing is to be done. */
  readonly advice: string | null
}

export const noRemedy: Remedy = { fix: null, advice: null }

/** A fix with the reason for it. */
export function run(commands: string | null | readonly (string | null)[], advice: string): Remedy {
  const lines = [commands].flat().filter(command => command !== null)
  return { fix: lines.length > 0 ? lines.join('\n') : null, advice }
}

/** No command fixes it: somebody has to decide. */
export function decide(advice: string): Remedy {
  return { fix: null, advice }
}

/** A command inside a sentence. */
export function quoted(command: string): string {
  return `\`${command}\``
}
