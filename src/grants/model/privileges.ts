/** The privileges of PostgreSQL. The position in this list is the bit in `Rights`. */
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

/** The classes of objects in a policy. */
export const objectClasses = ['database', 'schema', 'tables', 'sequences', 'functions'] as const
export type ObjectClass = (typeof objectClasses)[number]

/** The classes of objects in a schema, which have default privileges. */
export const memberClasses = ['tables', 'sequences', 'functions'] as const
export type MemberClass = (typeof memberClasses)[number]

/** The privileges on each class of objects, in the newest PostgreSQL. */
export const privilegesOf = {
  database: ['CREATE', 'CONNECT', 'TEMPORARY'],
  schema: ['USAGE', 'CREATE'],
  tables: ['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER', 'MAINTAIN'],
  sequences: ['USAGE', 'SELECT', 'UPDATE'],
  functions: ['EXECUTE'],
} as const satisfies Record<ObjectClass, readonly PrivilegeWord[]>

/** A set of privileges, one bit each. The bits shifted by `optionShift` are the grant options. */
export type Rights = number

export const optionShift = privilegeWords.length

/** The letters of these privileges in ACLs, in the same order. */
const letters = 'rawdDxtmUCXcT'

export function rightOf(word: PrivilegeWord): Rights {
  return 1 << privilegeWords.indexOf(word)
}

/** The bit of a letter in an ACL; undefined for an unknown letter. */
export function rightOfLetter(letter: string): Rights | undefined {
  const bit = letters.indexOf(letter)
  return bit < 0 ? undefined : 1 << bit
}

/** The set of the given privileges. Unknown words are ignored. */
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

/** The privileges in a set, without the grant options. */
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

/** All rights on a class of objects in a version of the server (`server_version_num`). */
export function everyRight(objects: ObjectClass, serverVersion: number): Rights {
  const all = rightsOf(privilegesOf[objects])
  return serverVersion >= 170000 ? all : all & ~rightOf('MAINTAIN')
}

export function isPrivilegeOf(objects: ObjectClass, word: string): boolean {
  return (privilegesOf[objects] as readonly string[]).includes(word)
}
