import type { Catalog, CatalogObject, DefaultAcl, Door, Membership } from './catalog.ts'

/**
 * The catalog in a fixed order, so that the reported routes and the limited lists do not depend on the order of reading. Sorted
 * lists are not copied. ACLs are sorted when they are created.
 */
export function sortCatalog(catalog: Catalog): Catalog {
  const schemas = [...catalog.schemas].map(([name, { self, objects }]) => {
    return [name, { self, objects: sortObjects(objects) }] as const
  })
  return {
    ...catalog,
    roles: sorted(catalog.roles, (one, other) => one.oid - other.oid),
    memberships: sorted(catalog.memberships, compareMemberships),
    schemas: new Map(schemas),
    defaultAcls: sorted(catalog.defaultAcls, compareDefaults),
    doors: sorted(catalog.doors, compareDoors),
  }
}

/** Sorts by name, the order of reading. */
export function sortObjects(objects: readonly CatalogObject[]): readonly CatalogObject[] {
  return sorted(objects, compareObjects)
}

/** The columns with ACLs of their own. */
export function sortColumns({ columns }: CatalogObject) {
  return columns === null ? [] : sorted([...columns], ([one], [other]) => compareTexts(one, other))
}

function sorted<Item>(items: readonly Item[], compare: (one: Item, other: Item) => number): readonly Item[] {
  const isSorted = items.every((item, at) => at === 0 || compare(items[at - 1] as Item, item) <= 0)
  return isSorted ? items : items.toSorted(compare)
}

function compareMemberships(one: Membership, other: Membership): number {
  return one.role - other.role || one.member - other.member || one.grantor - other.grantor
}

/** Entries without a schema come first. */
function compareDefaults(one: DefaultAcl, other: DefaultAcl): number {
  return (
    one.role - other.role ||
    compareTexts(one.schema ?? '', other.schema ?? '') ||
    compareTexts(one.objects, other.objects)
  )
}

function compareDoors(one: Door, other: Door): number {
  return compareTexts(one.object.schema, other.object.schema) || compareObjects(one.object, other.object)
}

/** Routines and relations have separate OID sequences. */
function compareObjects(one: CatalogObject, other: CatalogObject): number {
  return compareTexts(one.name, other.name) || one.oid - other.oid || compareTexts(one.kind, other.kind)
}

function compareTexts(one: string, other: string): number {
  return one < other ? -1 : Number(one > other)
}
