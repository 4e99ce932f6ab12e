import type { Catalog, CatalogObject, DefaultAcl, Door, GovernedSchema, Membership } from './catalog.ts'

type Compare<Item> = (one: Item, other: Item) => number

/**
 * The same catalog in one order, however it was listed: which of two routes is told, and what where not all can be told,
 * must not hang on that. What is in order, as it is read, is left as it is. ACLs are put in order where they are made.
 */
export function inOrder(catalog: Catalog): Catalog {
  const schemas = [...catalog.schemas].map(([name, schema]) => [name, schemaInOrder(schema)] as const)
  return {
    ...catalog,
    roles: sorted(catalog.roles, (one, other) => one.oid - other.oid),
    memberships: sorted(catalog.memberships, compareMemberships),
    schemas: new Map(schemas),
    defaultAcls: sorted(catalog.defaultAcls, compareDefaults),
    doors: sorted(catalog.doors, compareDoors),
  }
}

function schemaInOrder({ self, objects }: GovernedSchema): GovernedSchema {
  return { self, objects: objectsInOrder(objects) }
}

/** By name, as they are read. */
export function objectsInOrder(objects: readonly CatalogObject[]): readonly CatalogObject[] {
  return sorted(objects, compareObjects)
}

/** The columns of an object that have ACLs of their own. */
export function columnsInOrder({ columns }: CatalogObject) {
  return columns === null ? [] : sorted([...columns], ([one], [other]) => compareTexts(one, other))
}

function sorted<Item>(items: readonly Item[], compare: Compare<Item>): readonly Item[] {
  const isSorted = items.every((item, at) => at === 0 || compare(items[at - 1] as Item, item) <= 0)
  return isSorted ? items : items.toSorted(compare)
}

function compareMemberships(one: Membership, other: Membership): number {
  return one.role - other.role || one.member - other.member || one.grantor - other.grantor
}

/** Those of every schema first. */
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

/** OIDs of routines are numbered apart from those of relations. */
function compareObjects(one: CatalogObject, other: CatalogObject): number {
  return compareTexts(one.name, other.name) || one.oid - other.oid || compareTexts(one.kind, other.kind)
}

function compareTexts(one: string, other: string): number {
  return one < other ? -1 : Number(one > other)
}
