import type { Container } from './cloud-run.ts'

/** The container to check, or why it could not be selected. */
export type ContainerPick =
  | { readonly kind: 'picked'; readonly container: Container }
  /** Of several containers, none has the name in the configuration. */
  | { readonly kind: 'missing'; readonly names: readonly string[] }
  /** The configuration names none, and of several containers not exactly one receives requests. */
  | { readonly kind: 'ambiguous'; readonly names: readonly string[] }
  | { readonly kind: 'empty' }

/**
 * A single container is picked under any name, because Cloud Run generates missing names. Of several, it is the one that
 * the configuration names, or else the only one with ports.
 */
export function pickContainer(containers: readonly Container[], wanted: string | null): ContainerPick {
  const [first, ...others] = containers
  if (!first) return { kind: 'empty' }
  if (others.length === 0) return { kind: 'picked', container: first }

  const candidates = containers.filter(each => (wanted === null ? each.hasPorts : each.name === wanted))
  const [only, ...more] = candidates
  if (only && more.length === 0) return { kind: 'picked', container: only }
  const names = containers.map(each => each.name).sort()
  return { kind: wanted === null ? 'ambiguous' : 'missing', names }
}
