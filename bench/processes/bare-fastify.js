// The floor of a response: plain Fastify, which sends the same bytes and headers from a Buffer. The bench provides
// them.
import Fastify from 'fastify'

const { answers } = await new Promise(resolve => process.once('message', resolve))

const app = Fastify()
for (const { path, status, headers, body } of answers) {
  const bytes = Buffer.from(body, 'base64')
  app.get(path, (_request, reply) => reply.code(status).headers(headers).send(bytes))
}
await app.listen({ host: '127.0.0.1', port: 0 })
console.error(JSON.stringify({ message: 'ready', port: app.server.address().port }))
