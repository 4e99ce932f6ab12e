/** What a command has changed so far in one resource, and the command lines to inspect, cancel, resume or revert it. */
export interface ChangeStatus {
  /** A clause: `job runtime-migrate is set to ...`. */
  readonly summary: string
  readonly inspect?: string
  readonly cancel?: string
  /** With several resources, that of the last one applies. */
  readonly resume?: string
  readonly revert?: string
}

/** What a command has changed so far; null: not changed. */
export interface ChangeStatuses {
  service: ChangeStatus | null
  job: ChangeStatus | null
}

const noChange: ChangeStatus = { summary: 'nothing was changed' }
const notMigrated: ChangeStatus = { summary: 'nothing was migrated' }

/** Whether anything was changed, or may have been. */
export function hasChanges({ service, job }: ChangeStatuses): boolean {
  return service !== null || job !== null
}

/** Joins the changes of service and job. The commands to revert are joined in order of execution. */
export function joinChangeStatuses({ service, job }: ChangeStatuses, hasJob: boolean): ChangeStatus {
  const parts = [service, job ?? (service && hasJob ? notMigrated : null)].filter(part => part !== null)
  if (parts.length === 0) return noChange
  const last = (key: 'inspect' | 'cancel' | 'resume') => parts.findLast(part => part[key])?.[key]
  const [inspect, cancel, resume] = [last('inspect'), last('cancel'), last('resume')]
  const revert = parts.flatMap(part => part.revert ?? []).join(' && ')
  return {
    summary: parts.map(part => part.summary).join('; '),
    ...(inspect && { inspect }),
    ...(cancel && { cancel }),
    ...(resume && { resume }),
    ...(revert && { revert }),
  }
}

/** A line for each command that the status has. */
export function recoveryCommands({ inspect, cancel, resume, revert }: ChangeStatus): string[] {
  const commands = [
    ['inspect', inspect],
    ['cancel', cancel],
    ['continue', resume],
    ['roll back', revert],
  ] as const
  return commands.flatMap(([label, command]) => (command ? [`  ${`to ${label}:`.padEnd(13)} ${command}`] : []))
}
