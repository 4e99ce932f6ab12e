import type { ProbeKind } from '../probes/probe.ts'
import type { CloudRunIdentity } from '../release/cloud-run.ts'

/** A resource of a stack that can be replaced by another one of the same name. */
type Subject = 'service' | 'job' | 'database'

/** The observed resources, or their identities. Absent or null: not observed, or the resource does not exist. */
export type Subjects = Readonly<Partial<Record<Subject, CloudRunIdentity | string | null>>>

/** The identity of each resource that was last observed. */
export type Identities = Readonly<Partial<Record<Subject, string>>>

/** The resource that an observation is about. */
const subjectsOfProbes: Readonly<Partial<Record<ProbeKind, Subject>>> = {
  service: 'service',
  telemetry: 'service',
  job: 'job',
  execution: 'job',
  'postgres-catalog': 'database',
}

/** Those of the resources on which a check depends. */
export function subjectsOf(needs: readonly ProbeKind[], observed: Subjects): Subjects {
  const known = (subject: Subject) =>
    needs.some(kind => subjectsOfProbes[kind] === subject) ? (observed[subject] ?? null) : null
  return { service: known('service'), job: known('job'), database: known('database') }
}

/** The identities after an observation. A resource that was not observed keeps its own. */
export function identify(before: Identities, observed: Subjects): Identities {
  const found = entriesOf(observed).flatMap(([subject, resource]) =>
    resource ? [[subject, identityOf(resource)]] : [],
  )
  return { ...before, ...Object.fromEntries(found) }
}

function identityOf(resource: CloudRunIdentity | string): string {
  return typeof resource === 'string' ? resource : `${resource.uid} ${resource.createTime}`
}

/** The resources that were created again since they were last observed. */
export function replacedSubjects(before: Identities, after: Identities): readonly Subject[] {
  return entriesOf(before).flatMap(([subject, identity]) => (after[subject] === identity ? [] : [subject]))
}

function entriesOf<Value>(values: Readonly<Partial<Record<Subject, Value>>>): [Subject, Value][] {
  return Object.entries(values) as [Subject, Value][]
}

/** The resource that a difference is about, by the first word of its path, if a check depends on several. */
const subjectsOfPaths: Readonly<Record<string, Subject>> = {
  service: 'service',
  revision: 'service',
  job: 'job',
  execution: 'job',
}

/** Whether a difference is about one of the replaced resources. */
export function isAbout(path: string, replaced: readonly Subject[], all: Identities): boolean {
  if (Object.keys(all).length === replaced.length) return true
  const subject = subjectsOfPaths[path.split('.', 1)[0] ?? '']
  return subject !== undefined && replaced.includes(subject)
}
