import t from 'tap'
import { testFaults } from '../helpers/fault-suite.ts'

await testFaults(t, 'PostgreSQL at another address')
