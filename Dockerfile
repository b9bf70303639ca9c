# syntax=docker/dockerfile:1

FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# No package of the build needs an install script, so none is run.
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY scripts/build.mjs scripts/
COPY src src
RUN npm run build && npm prune --omit=dev --ignore-scripts && rm -rf dist/.build

FROM node:24-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY LICENSE ./

# The user "node" of the base image, by number: Kubernetes checks runAsNonRoot by it.
USER 1000:1000
# The process writes nothing outside /tmp: the root file system may be read-only.
EXPOSE 6432
STOPSIGNAL SIGTERM

# Alive means that it answers, whatever the state of the databases. GSSENCRequest is answered with N
# by each client port, with TLS or without, and a connection that ends there logs nothing.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["node", "-e", "\
const socket = require('net').connect(Number(process.env.MAITRED_LISTEN_PORT || 6432), '127.0.0.1');\
socket.setTimeout(2500, () => process.exit(1));\
socket.on('error', () => process.exit(1));\
socket.on('end', () => process.exit(1));\
socket.on('connect', () => socket.write(Buffer.from('0000000804d21630', 'hex')));\
socket.on('data', (data) => process.exit(data[0] === 0x4e ? 0 : 1));"]

ENTRYPOINT ["node", "/app/dist/cli.js"]
CMD ["/etc/maitred/maitred.yaml"]
