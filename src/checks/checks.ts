import type { Stack } from '../config/config.ts'
import { afterRollout } from './after-rollout.ts'
import type { Check } from './check.ts'
import { httpContract } from './http-contract.ts'
import { imageLanes } from './image-lanes.ts'
import { jobImage } from './job-image.ts'
import { migrationExecution } from './migration-execution.ts'
import { roleGrants } from './role-grants.ts'
import { schema } from './schema.ts'
import { serviceImage } from './service-image.ts'

/** All checks, in the order of reports. */
export const checks: readonly Check[] = [
  serviceImage,
  jobImage,
  migrationExecution,
  roleGrants,
  schema,
  imageLanes,
  afterRollout,
  httpContract,
]

/** The checks that a stack configures. */
export function checksOf(stack: Stack): Check[] {
  return checks.filter(check => check.appliesTo(stack))
}
