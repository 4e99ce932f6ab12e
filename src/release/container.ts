import type { Container } from './cloud-run.ts'

/** Which container of several is meant. */
export type ContainerPick =
  | { readonly kind: 'picked'; readonly container: Container }
  /** The config names one, there are several, and none has that name. */
  | { readonly kind: 'not-there'; readonly names: readonly string[] }
  /** The config names none, and not exactly one of several takes requests. */
  | { readonly kind: 'ambiguous'; readonly names: readonly string[] }
  | { readonly kind: 'empty' }

/**
 * A single container is the one, whatever its name, since Cloud Run names unnamed ones itself. Among several it is the
 * one that the config names; where that names none, the only one with ports.
 */
export function pickContainer(containers: readonly Container[], wanted: string | null): ContainerPick {
  const [first, ...others] = containers
  if (!first) return { kind: 'empty' }
  if (others.length === 0) return { kind: 'picked', container: first }

  const candidates = containers.filter(each => (wanted === null ? each.hasPorts : each.name === wanted))
  const [only, ...more] = candidates
  if (only && more.length === 0) return { kind: 'picked', container: only }
  const names = containers.map(each => each.name).sort()
  return { kind: wanted === null ? 'ambiguous' : 'not-there', names }
}
