import { refusal } from '../cloud-run/refusal.ts'

/** The required permission of each implemented method. */
const permissions: Readonly<Record<string, string>> = {
  CreateTimeSeries: 'monitoring.timeSeries.create',
  ListTimeSeries: 'monitoring.timeSeries.list',
  CreateMetricDescriptor: 'monitoring.metricDescriptors.create',
  GetMetricDescriptor: 'monitoring.metricDescriptors.get',
  ListMetricDescriptors: 'monitoring.metricDescriptors.list',
  DeleteMetricDescriptor: 'monitoring.metricDescriptors.delete',
  CreateAlertPolicy: 'monitoring.alertPolicies.create',
  GetAlertPolicy: 'monitoring.alertPolicies.get',
  ListAlertPolicies: 'monitoring.alertPolicies.list',
  UpdateAlertPolicy: 'monitoring.alertPolicies.update',
  DeleteAlertPolicy: 'monitoring.alertPolicies.delete',
  GetNotificationChannel: 'monitoring.notificationChannels.get',
  ListNotificationChannels: 'monitoring.notificationChannels.list',
  CreateUptimeCheckConfig: 'monitoring.uptimeCheckConfigs.create',
  GetUptimeCheckConfig: 'monitoring.uptimeCheckConfigs.get',
  ListUptimeCheckConfigs: 'monitoring.uptimeCheckConfigs.list',
  UpdateUptimeCheckConfig: 'monitoring.uptimeCheckConfigs.update',
  DeleteUptimeCheckConfig: 'monitoring.uptimeCheckConfigs.delete',
}

/** Google's predefined roles, limited to these permissions. */
const roles = {
  'roles/monitoring.metricWriter': [
    /^monitoring\.timeSeries\.create$/,
    /^monitoring\.metricDescriptors\.(create|get|list)$/,
  ],
  'roles/monitoring.viewer': [/\.(get|list)$/],
  'roles/monitoring.alertPolicyEditor': [/^monitoring\.alertPolicies\./],
  'roles/monitoring.notificationChannelViewer': [/^monitoring\.notificationChannels\.(get|list)$/],
  'roles/monitoring.uptimeCheckConfigEditor': [/^monitoring\.uptimeCheckConfigs\./],
  'roles/monitoring.editor': [/^monitoring\./],
} as const satisfies Record<string, readonly RegExp[]>

export type Role = keyof typeof roles

/** Throws, with Google's message, if no role has the permission. */
export function assertAllowed(method: string, held: readonly Role[]): void {
  const permission = permissions[method] ?? ''
  if (held.some(role => roles[role].some(pattern => pattern.test(permission)))) return
  throw refusal('PERMISSION_DENIED', `Permission ${permission} denied (or the resource may not exist).`)
}
