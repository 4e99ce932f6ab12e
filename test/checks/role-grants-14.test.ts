import t from 'tap'
import { testRoleGrants } from '../helpers/role-grants-suite.ts'

testRoleGrants(t, 14)
