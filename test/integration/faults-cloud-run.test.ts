import t from 'tap'
import { testFaults } from '../helpers/fault-suite.ts'

await t.test('each stack in a project of its own', t => testFaults(t, 'Cloud Run'))
await t.test('all stacks in one place', t => testFaults(t, 'Cloud Run in one place'))
