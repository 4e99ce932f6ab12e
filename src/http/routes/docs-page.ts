import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { SendBody } from '../encoding.ts'
import { noQuery, type Router } from '../router.ts'

/** The page loads scripts and data only from its own origin. */
const pageCsp =
  "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; object-src 'none'; frame-ancestors 'none'"

const contentTypes = {
  css: 'text/css; charset=utf-8',
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  png: 'image/png',
} as const

interface Asset {
  readonly name: string
  readonly type: keyof typeof contentTypes
  /** Null: a file of Swagger UI. */
  readonly text: string | null
}

/** The layout without the top bar, which has the logo of Swagger. */
const options = {
  url: 'json',
  dom_id: '#swagger-ui',
  deepLinking: true,
  layout: 'BaseLayout',
  validatorUrl: null,
} as const

/** A green square. */
const icon =
  'iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAMAAAAoLQ9TAAAAA1BMVEUafzem0dtKAAAADUlEQVR42mNgGAXIAAABEAABf80DtQAAAABJRU5ErkJggg=='

const page = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Driftwatch API</title>
<link rel="icon" type="image/png" href="./static/icon.png">
<link rel="stylesheet" href="./static/swagger-ui.css">
<link rel="stylesheet" href="./static/index.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="./static/swagger-ui-bundle.js"></script>
<script src="./static/swagger-initializer.js"></script>
</body>
</html>
`

const assets: readonly Asset[] = [
  { name: 'icon.png', type: 'png', text: icon },
  { name: 'swagger-ui.css', type: 'css', text: null },
  { name: 'index.css', type: 'css', text: null },
  { name: 'swagger-ui-bundle.js', type: 'js', text: null },
  { name: 'swagger-initializer.js', type: 'js', text: `SwaggerUIBundle(${JSON.stringify(options)})\n` },
]

/** Adds `/docs/`. Each file is read on first use and then kept, because many requests at once must not read it many times. */
export function addDocsRoutes(router: Router, sendBody: SendBody): void {
  const schema = { hide: true, querystring: noQuery } as const

  function addRoute(path: string, { name, type, text }: Asset): void {
    let kept: Promise<Buffer> | null = null
    const read = () => {
      kept ??= readAsset(name, type, text).catch(error => {
        kept = null
        throw error
      })
      return kept
    }
    router.get(path, { schema }, (request, reply) => {
      // The links of the page are relative to `/docs/`.
      if (request.url === '/docs') return reply.redirect('docs/')
      reply.type(contentTypes[type]).header('content-security-policy', pageCsp)
      read().then(
        body => sendBody(request, reply, body),
        error => reply.send(error),
      )
    })
  }

  addRoute('/docs/', { name: 'index.html', type: 'html', text: page })
  for (const asset of assets) addRoute(`/docs/static/${asset.name}`, asset)
}

async function readAsset(name: string, type: Asset['type'], text: string | null): Promise<Buffer> {
  if (text !== null) return Buffer.from(text, type === 'png' ? 'base64' : 'utf8')
  return readFile(join(dirname(createRequire(import.meta.url).resolve('@fastify/swagger-ui')), 'static', name))
}
