import t from 'tap'
import { benign, drifts } from './helpers/grant-drifts.ts'
import { govern, rolesSql, schemasSql } from './helpers/grants-world.ts'
import { installedMajors, startPostgres } from './helpers/postgres-server.ts'

t.ok(installedMajors.length > 0, 'there is a PostgreSQL to run')

for (const major of installedMajors) {
  t.test(`grants on PostgreSQL ${major}`, async t => {
    const server = await startPostgres(major)
    t.teardown(() => server.stop())
    await server.sql('postgres', rolesSql)
    await server.sql('postgres', 'CREATE DATABASE base')
    await server.sql('base', schemasSql)
    const database = govern(server, 'base')
    t.teardown(() => database.close())

    t.test('is in sync as it was made', async t => {
      t.same(await database.judge(), { drift: [], plan: '', impossible: [] })
    })

    for (const { title, sql, told, cleanup, since = 14, policy } of drifts) {
      if (major < since) continue
      t.test(`notices and mends ${title}`, async t => {
        await server.sql('base', sql)
        const drifted = await database.judge(policy)
        for (const line of told)
          t.ok(
            drifted.drift.some(difference => line.test(difference)),
            `${line}`,
            { found: drifted.drift },
          )
        t.same(drifted.impossible, [])
        await server.sql('base', drifted.plan)
        t.same(await database.judge(policy), { drift: [], plan: '', impossible: [] }, 'in sync after the plan', {
          plan: drifted.plan,
        })
        if (cleanup) await server.sql('base', cleanup)
        if (policy || cleanup) t.same((await database.judge()).drift, [], 'the case leaves nothing behind')
      })
    }

    for (const { title, sql, cleanup, since = 14 } of benign) {
      if (major < since) continue
      t.test(`takes ${title} for no drift`, async t => {
        await server.sql('base', sql)
        t.same(await database.judge(), { drift: [], plan: '', impossible: [] })
        await server.sql('base', cleanup)
      })
    }
  })
}
