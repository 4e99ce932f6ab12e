// The floor of a steady cycle: Google's clients, which list the pages of the fleet. Nothing is cached.
import { ExecutionsClient } from '@google-cloud/run/build/src/v2/executions_client.js'
import { JobsClient } from '@google-cloud/run/build/src/v2/jobs_client.js'
import { RevisionsClient } from '@google-cloud/run/build/src/v2/revisions_client.js'
import { ServicesClient } from '@google-cloud/run/build/src/v2/services_client.js'
import { googleAuthLibrary, grpc } from 'google-gax'

const [apiEndpoint, port] = process.env.CLOUD_RUN_EMULATOR_HOST.split(':')
const parent = 'projects/openagentsgemini/locations/us-central1'

const options = () => ({
  apiEndpoint,
  port: Number(port),
  sslCreds: grpc.credentials.createInsecure(),
  authClient: new googleAuthLibrary.PassThroughClient(),
  projectId: 'emulator',
})
const services = new ServicesClient(options())
const jobs = new JobsClient(options())
// Used only by a first cycle, but loaded as in Driftwatch.
const others = [new RevisionsClient(options()), new ExecutionsClient(options())]

async function pages(list) {
  let pageToken = ''
  do {
    const [, , page] = await list({ parent, pageSize: 1000, pageToken }, { autoPaginate: false, retry: null })
    pageToken = page.nextPageToken
  } while (pageToken)
}

const listServices = () => pages((request, call) => services.listServices(request, call))
const listJobs = () => pages((request, call) => jobs.listJobs(request, call))

globalThis.benchWork = process.argv.includes('--chain') ? listServices : () => Promise.all([listServices(), listJobs()])

await Promise.all([...others, services, jobs].map(client => client.initialize()))
await globalThis.benchWork()
console.error(JSON.stringify({ message: 'ready' }))
