// The floor of `driftwatch check` and of a start: a script that loads the clients, makes the same reads and prints the
// results. It imports the files of the clients, because the index of the packages loads all clients.
import { ExecutionsClient } from '@google-cloud/run/build/src/v2/executions_client.js'
import { JobsClient } from '@google-cloud/run/build/src/v2/jobs_client.js'
import { RevisionsClient } from '@google-cloud/run/build/src/v2/revisions_client.js'
import { ServicesClient } from '@google-cloud/run/build/src/v2/services_client.js'
import { googleAuthLibrary, grpc } from 'google-gax'

const [apiEndpoint, port] = process.env.CLOUD_RUN_EMULATOR_HOST.split(':')
const place = 'projects/openagentsgemini/locations/us-central1'
const options = () => ({
  apiEndpoint,
  port: Number(port),
  sslCreds: grpc.credentials.createInsecure(),
  authClient: new googleAuthLibrary.PassThroughClient(),
  projectId: 'emulator',
})

const services = new ServicesClient(options())
const jobs = new JobsClient(options())
const [[service], [job]] = await Promise.all([
  services.getService({ name: `${place}/services/app-0` }),
  jobs.getJob({ name: `${place}/jobs/app-0-migrate` }),
])
const revisions = new RevisionsClient(options())
const executions = new ExecutionsClient(options())
const [[revision], [execution]] = await Promise.all([
  revisions.getRevision({ name: service.latestReadyRevision }),
  executions.getExecution({ name: `${job.name}/executions/${job.latestCreatedExecution.name}` }),
])
console.log('service  ', service.template.containers[0].image)
console.log('revision ', revision.containers[0].image)
console.log('job      ', job.template.template.containers[0].image)
console.log('execution', execution.template.containers[0].image, execution.succeededCount)
await Promise.all([services, jobs, revisions, executions].map(client => client.close()))
