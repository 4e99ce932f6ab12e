/** What a command has made of one thing so far, and what can be done about it: command lines that can be pasted. */
export interface ChangeStatus {
  /** A clause: `job runtime-migrate is set to ...`. */
  readonly said: string
  readonly see?: string
  readonly stop?: string
  /** How to go on. Of several parts that of the last one counts. */
  readonly next?: string
  readonly back?: string
}

/** What stands of everything that a command writes to; null: it is as it was. */
export interface ChangeStatuses {
  service: ChangeStatus | null
  job: ChangeStatus | null
}

const untouched: ChangeStatus = { said: 'nothing was changed' }
const notMigrated: ChangeStatus = { said: 'nothing was migrated' }

/** Whether anything was changed, or may have been. */
export function hasChanges({ service, job }: ChangeStatuses): boolean {
  return service !== null || job !== null
}

/** Joins what stands: the clause, and the ways on and back, in the order in which they help. */
export function joinChangeStatuses({ service, job }: ChangeStatuses, hasJob: boolean): ChangeStatus {
  const parts = [service, job ?? (service && hasJob ? notMigrated : null)].filter(part => part !== null)
  if (parts.length === 0) return untouched
  const all = (way: 'see' | 'stop' | 'back') => parts.flatMap(part => part[way] ?? [])
  const [see, stop, back] = [all('see').at(-1), all('stop').at(-1), all('back').join(' && ')]
  const next = parts.findLast(part => part.next)?.next
  return {
    said: parts.map(part => part.said).join('; '),
    ...(see && { see }),
    ...(stop && { stop }),
    ...(next && { next }),
    ...(back && { back }),
  }
}

/** One line for each way. */
export function nextCommands({ see, stop, next, back }: ChangeStatus): string[] {
  const ways = [
    ['to see it', see],
    ['to stop it', stop],
    ['to go on', next],
    ['to go back', back],
  ] as const
  return ways.flatMap(([label, command]) => (command ? [`  ${`${label}:`.padEnd(11)} ${command}`] : []))
}
