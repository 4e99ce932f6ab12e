import fc from 'fast-check'

/** A random change of privileges, as SQL. Rejected statements have no effect. */
export type RandomChange = fc.Arbitrary<readonly string[]>

const tables = ['runtime.sync_events', 'runtime.sync_topics', 'runtime.accounts', 'control.leases']
const sequences = ['runtime.counter']
const functions = ['runtime.area(int)', 'runtime.area(int, int)']
const groups = ['team', 'team2', 'team3']
const strangers = [...groups, 'mallory', 'platform_admin']
const listed = ['oa_runtime_rw', 'oa_spacetime_ro', 'oa_control_rw', 'deploy']
const anybody = [...strangers, ...listed, 'app']

const pick = (...from: readonly string[]) => fc.constantFrom(...from)
const withOption = fc.constantFrom('', ' WITH GRANT OPTION')

const onTable = fc.tuple(pick('SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'ALL'), pick(...tables))
const onColumn = fc.tuple(pick('SELECT (id)', 'UPDATE (id)', 'ALL (id)'), pick('runtime.sync_events', 'control.leases'))
const onSchema = fc.tuple(pick('USAGE', 'CREATE', 'ALL'), pick('SCHEMA runtime', 'SCHEMA control'))
const onSequence = fc.tuple(pick('USAGE', 'SELECT', 'UPDATE'), pick(...sequences.map(name => `SEQUENCE ${name}`)))
const onFunction = fc.tuple(fc.constant('EXECUTE'), pick(...functions.map(name => `FUNCTION ${name}`)))
const something = fc.oneof(
  { weight: 4, arbitrary: onTable },
  { weight: 2, arbitrary: onColumn },
  { weight: 2, arbitrary: onSchema },
  onSequence,
  onFunction,
)

/** By the owner, or by any role with the grant option: this builds chains of grantors. */
const grant = fc
  .tuple(something, pick('', '', ...strangers, 'oa_runtime_rw'), pick('PUBLIC', ...anybody), withOption)
  .map(([[rights, object], grantor, grantee, option]) => {
    const statement = `GRANT ${rights} ON ${object} TO ${grantee}${grantee === 'PUBLIC' ? '' : option}`
    return grantor === '' ? [statement] : [`SET ROLE ${grantor}`, statement, 'RESET ROLE']
  })

const revoke = fc
  .tuple(something, pick(...listed, 'oa_runtime_owner'))
  .map(([[rights, object], grantee]) => [`REVOKE ${rights} ON ${object} FROM ${grantee} CASCADE`])

const changeOwner = fc
  .tuple(
    pick(...tables.map(name => `TABLE ${name}`), 'SCHEMA runtime', 'ROUTINE runtime.area(int)'),
    pick(...groups, 'mallory'),
  )
  .map(([object, owner]) => [`ALTER ${object} OWNER TO ${owner}`])

const defaults = fc
  .tuple(
    pick('oa_runtime_owner', 'team'),
    pick('', ' IN SCHEMA runtime', ' IN SCHEMA control'),
    pick('GRANT', 'REVOKE'),
    pick('SELECT ON TABLES', 'ALL ON TABLES', 'USAGE ON SEQUENCES', 'EXECUTE ON FUNCTIONS'),
    pick('PUBLIC', 'oa_runtime_rw', 'mallory', 'platform_admin', 'oa_runtime_owner'),
  )
  .map(([role, schema, verb, what, who]) => [
    `ALTER DEFAULT PRIVILEGES FOR ROLE ${role}${schema} ${verb} ${what} ${verb === 'GRANT' ? 'TO' : 'FROM'} ${who}`,
  ])

const membership = fc
  .tuple(pick(...groups, ...listed, 'oa_runtime_owner'), pick(...strangers, ...listed), pick('', ' WITH ADMIN OPTION'))
  .map(([role, member, option]) => [`GRANT ${role} TO ${member}${option}`])

const leave = fc.constantFrom(
  ['REVOKE oa_runtime_rw FROM app CASCADE'],
  ['REVOKE oa_runtime_owner FROM deploy CASCADE'],
)

const attribute = pick('LOGIN', 'NOLOGIN', 'CREATEDB', 'CREATEROLE').chain(word =>
  pick(...listed, 'team').map(role => [`ALTER ROLE ${role} ${word}`]),
)

/** Changes of ACLs and owners, made as the owner: ACLs do not show who else could have made them. */
export const aclChange: RandomChange = fc.oneof(
  { weight: 10, arbitrary: grant },
  { weight: 3, arbitrary: revoke },
  { weight: 1, arbitrary: changeOwner },
  { weight: 2, arbitrary: defaults },
)

/** Changes of roles: from 16 on, only their creator can make them. */
export const roleChange: RandomChange = fc.oneof(
  { weight: 6, arbitrary: membership },
  { weight: 1, arbitrary: leave },
  { weight: 1, arbitrary: attribute },
)
