/** PostgreSQL's words for privileges. The place in this list is the bit in a mask of rights. */
export const privilegeWords = [
  'SELECT',
  'INSERT',
  'UPDATE',
  'DELETE',
  'TRUNCATE',
  'REFERENCES',
  'TRIGGER',
  'MAINTAIN',
  'USAGE',
  'CREATE',
  'EXECUTE',
  'CONNECT',
  'TEMPORARY',
] as const
export type PrivilegeWord = (typeof privilegeWords)[number]

/** What a policy speaks of. */
export const objectClasses = ['database', 'schema', 'tables', 'sequences', 'functions'] as const
export type ObjectClass = (typeof objectClasses)[number]

/** The privileges that there are on each class of objects, in the newest version of the server. */
export const privilegesOf = {
  database: ['CREATE', 'CONNECT', 'TEMPORARY'],
  schema: ['USAGE', 'CREATE'],
  tables: ['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER', 'MAINTAIN'],
  sequences: ['USAGE', 'SELECT', 'UPDATE'],
  functions: ['EXECUTE'],
} as const satisfies Record<ObjectClass, readonly PrivilegeWord[]>

/**
 * A set of privileges, one bit each, in the order of the words; the same bits shifted by `optionShift` are the right to
 * grant them on.
 */
export type Rights = number

export const optionShift = privilegeWords.length

/** What the letters of PostgreSQL's ACLs stand for. */
const letters: Readonly<Record<string, PrivilegeWord>> = {
  r: 'SELECT',
  a: 'INSERT',
  w: 'UPDATE',
  d: 'DELETE',
  D: 'TRUNCATE',
  x: 'REFERENCES',
  t: 'TRIGGER',
  m: 'MAINTAIN',
  U: 'USAGE',
  C: 'CREATE',
  X: 'EXECUTE',
  c: 'CONNECT',
  T: 'TEMPORARY',
}

export function rightOf(word: PrivilegeWord): Rights {
  return 1 << privilegeWords.indexOf(word)
}

const bitOfLetter: ReadonlyMap<string, Rights> = new Map(
  Object.entries(letters).map(([letter, word]) => [letter, rightOf(word)]),
)

/** The bit of a letter in an ACL; undefined for one that is newer than this list. */
export function rightOfLetter(letter: string): Rights | undefined {
  return bitOfLetter.get(letter)
}

/** The set that the words name; a word that is no privilege adds nothing. */
export function rightsOf(words: Iterable<string>): Rights {
  let rights = 0
  for (const word of words) {
    const bit = privilegeWords.indexOf(word as PrivilegeWord)
    if (bit >= 0) rights |= 1 << bit
  }
  return rights
}

export const withOptions = (rights: Rights): Rights => rights | (rights << optionShift)
export const optionsOf = (rights: Rights): Rights => rights >> optionShift
export const withoutOptions = (rights: Rights): Rights => rights & ((1 << optionShift) - 1)

/** The words of a set, options left aside. */
export function wordsOf(rights: Rights): PrivilegeWord[] {
  return privilegeWords.filter((_, bit) => (rights & (1 << bit)) !== 0)
}

/** `SELECT, INSERT with grant option, grant option for UPDATE`. */
export function describeRights(rights: Rights): string {
  const held = withoutOptions(rights)
  const options = optionsOf(rights)
  return [
    wordsOf(held & ~options).join(', '),
    wordsOf(held & options)
      .map(word => `${word} with grant option`)
      .join(', '),
    wordsOf(options & ~held)
      .map(word => `grant option for ${word}`)
      .join(', '),
  ]
    .filter(text => text)
    .join(', ')
}

/** Everything that there is to hold on a class of objects, in a version of the server (as `server_version_num`). */
export function everyRight(objects: ObjectClass, serverVersion: number): Rights {
  const all = rightsOf(privilegesOf[objects])
  return serverVersion >= 170000 ? all : all & ~rightOf('MAINTAIN')
}

export function isPrivilegeOf(objects: ObjectClass, word: string): boolean {
  return (privilegesOf[objects] as readonly string[]).includes(word)
}
