import { assertName, assertParent, type Collection } from './names.ts'
import { pageOf } from './pages.ts'
import type { ListOrder, Message, Store } from './store.ts'
import type { WriteMethods } from './writes.ts'

/** A decoded request: a `name` to get or run, a `parent` to list, or a resource to write. */
export interface Request {
  readonly name?: string
  readonly parent?: string
  readonly job?: Message
  readonly service?: Message
  readonly etag?: string
  readonly pageSize: number
  readonly pageToken: string
  readonly showDeleted: boolean
}

export interface MethodContext {
  readonly store: Store
  readonly writes: WriteMethods
  readonly maxPageSize: number
  readonly order: ListOrder
}

/** Returns the response, or throws a refusal. */
export type Method = (request: Request, context: MethodContext) => Record<string, unknown>

function get(collection: Collection): Method {
  return ({ name = '' }, { store }) => {
    assertName(collection, name)
    return store.get(collection, name)
  }
}

function list(method: string, collection: Collection): Method {
  return ({ parent = '', showDeleted, pageSize, pageToken }, { store, maxPageSize, order }) => {
    assertParent(collection, parent)
    const all = store.list(collection, parent, { order, showDeleted })
    const { items, nextPageToken } = pageOf(all, method, { parent, pageSize, pageToken }, maxPageSize)
    return { [collection]: items, nextPageToken }
  }
}

/** The implemented methods; all others are UNIMPLEMENTED. */
export const methods: Record<string, Record<string, Method>> = {
  Services: {
    GetService: get('services'),
    ListServices: list('ListServices', 'services'),
    UpdateService: ({ service = {} }, { writes }) => writes.updateService(service),
  },
  Revisions: { GetRevision: get('revisions'), ListRevisions: list('ListRevisions', 'revisions') },
  Jobs: {
    GetJob: get('jobs'),
    ListJobs: list('ListJobs', 'jobs'),
    UpdateJob: ({ job = {} }, { writes }) => writes.updateJob(job),
    RunJob: ({ name = '', etag = '' }, { writes }) => writes.runJob(name, etag),
  },
  Executions: {
    GetExecution: get('executions'),
    ListExecutions: list('ListExecutions', 'executions'),
    CancelExecution: ({ name = '' }, { writes }) => writes.cancelExecution(name),
  },
  'google.longrunning.Operations': { GetOperation: ({ name = '' }, { writes }) => writes.operation(name) },
}
