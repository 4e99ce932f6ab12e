# test/deploy/image.test.ts runs these instructions in an empty directory.

# Pinned by tag, to the Node.js version of the tests (`node` in package.json). A tag can be re-pushed. For production, add
# the digest, as in node:24.21.0-trixie-slim@sha256:...
FROM node:24.21.0-trixie-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
RUN npm run build

# The packages need no install scripts at run time. The optional packages are PostgreSQL binaries for the tests.
FROM node:24.21.0-trixie-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --omit=optional --ignore-scripts

FROM node:24.21.0-trixie-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY package.json LICENSE ./
# The user `node` of the base image, by number, so that platforms recognize it as non-root. It owns no file here.
USER 1000
EXPOSE 8080
# No shell in between, so Node.js receives SIGTERM. The flags limit memory use (docs/performance-grants.md).
ENTRYPOINT ["node", "--max-semi-space-size=4", "--heap-growing-percent=20", "/app/dist/main.js"]
CMD ["serve"]
