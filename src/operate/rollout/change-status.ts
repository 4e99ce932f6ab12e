/** What a command has changed so far in one resource, and the command lines to inspect, cancel, resume or revert it. */
export interface ChangeStatus {
  /** A clause: `job runtime-migrate is set to ...`. */
  readonly summary: string
  readonly inspect?: string | undefined
  readonly cancel?: string | undefined
  /** With several resources, that of the last one applies. */
  readonly resume?: string | undefined
  readonly revert?: string | undefined
}

/** What a command has changed so far; null: not changed. */
export interface ChangeStatuses {
  service: ChangeStatus | null
  job: ChangeStatus | null
}

/** Whether anything was changed, or may have been. */
export function hasChanges({ service, job }: ChangeStatuses): boolean {
  return service !== null || job !== null
}

/** Joins the changes of service and job. The commands to revert are joined in order of execution. */
export function joinChangeStatuses({ service, job }: ChangeStatuses, hasJob: boolean): ChangeStatus {
  const notMigrated: ChangeStatus | null = service && hasJob ? { summary: 'nothing was migrated' } : null
  const parts = [service, job ?? notMigrated].filter(part => part !== null)
  const last = (key: 'inspect' | 'cancel' | 'resume') => parts.findLast(part => part[key])?.[key]
  return {
    summary: parts.map(part => part.summary).join('; ') || 'nothing was changed',
    inspect: last('inspect'),
    cancel: last('cancel'),
    resume: last('resume'),
    revert: parts.flatMap(part => part.revert ?? []).join(' && ') || undefined,
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
