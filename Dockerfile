# The full image brings the compiler and the Python that the compression library is built with.
FROM node:22-bookworm AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# Not `npm ci`: see scripts/setup.mjs.
RUN ONNXRUNTIME_NODE_INSTALL=skip npm install --no-save --include=dev --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
COPY scripts ./scripts
COPY bench ./bench
RUN node node_modules/typescript/bin/tsc -p tsconfig.build.json

FROM build AS production
RUN npm prune --omit=dev --no-save --no-audit --no-fund

FROM node:22-bookworm-slim
LABEL org.opencontainers.image.title="gridstow" \
  org.opencontainers.image.licenses="Apache-2.0"
ENV NODE_ENV=production \
  HOST=0.0.0.0 \
  PORT=8501 \
  GRIDSTOW_DATA_DIR=/var/lib/gridstow
WORKDIR /app
RUN mkdir -p /var/lib/gridstow && chown node:node /var/lib/gridstow
COPY --from=production /app/node_modules ./node_modules
COPY --from=production /app/dist ./dist
COPY package.json LICENSE ./
# By number, so that an orchestrator can see that it is not root: the image calls it node.
USER 1000:1000
VOLUME /var/lib/gridstow
EXPOSE 8501
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/health/live`).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# Node itself is the first process, so that it gets the signal to stop and drains.
CMD ["node", "dist/src/main.js"]
