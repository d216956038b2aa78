// Compiles the kernels written in WebAssembly's text format into <name>.wasm.ts beside each, which
// is committed: nobody needs the compiler to build or run the service.
import { readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import openCompiler from 'wabt';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const compiler = await openCompiler();

for (const path of ['src/artifacts/codec/byte-planes', 'src/predictions/number-lists']) {
  const name = basename(path);
  const source = readFileSync(join(root, `${path}.wat`), 'utf8');
  const { buffer } = compiler.parseWat(`${name}.wat`, source, { simd: true }).toBinary({});
  const lines = Buffer.from(buffer)
    .toString('base64')
    .match(/.{1,92}/g)
    .map((line) => `  '${line}',`);
  writeFileSync(
    join(root, `${path}.wasm.ts`),
    `/** \`${name}.wat\`, compiled by \`node scripts/build-kernel.mjs\`. */
export const ${name.replaceAll('-', '_').toUpperCase()}_WASM = [
${lines.join('\n')}
].join('');
`,
  );
  console.log(`${name}.wasm.ts: ${buffer.length} bytes of WebAssembly`);
}
