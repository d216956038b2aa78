// Compiles src/artifacts/codec/byte-planes.wat into byte-planes.wasm.ts, which is committed: nobody
// needs the compiler to build or run the service.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import openCompiler from 'wabt';

const folder = join(dirname(fileURLToPath(import.meta.url)), '../src/artifacts/codec');
const source = readFileSync(join(folder, 'byte-planes.wat'), 'utf8');
const compiler = await openCompiler();
const { buffer } = compiler.parseWat('byte-planes.wat', source, { simd: true }).toBinary({});

const lines = Buffer.from(buffer)
  .toString('base64')
  .match(/.{1,92}/g)
  .map((line) => `  '${line}',`);
writeFileSync(
  join(folder, 'byte-planes.wasm.ts'),
  `/** \`byte-planes.wat\`, compiled by \`node scripts/build-kernel.mjs\`. */
export const BYTE_PLANES_WASM = [
${lines.join('\n')}
].join('');
`,
);
console.log(`byte-planes.wasm.ts: ${buffer.length} bytes of WebAssembly`);
