// Writes the shaders of this folder into a TypeScript module, since neither Node nor every bundler imports .wgsl files.
// node kernels/webgpu/generate.mjs [--check]
import {readdirSync, readFileSync, writeFileSync} from 'node:fs';

const folder = new URL('./', import.meta.url);
const target = new URL('../../src/kernels/webgpu/shaders.ts', import.meta.url);

const shaders = readdirSync(folder)
  .filter((name) => name.endsWith('.wgsl'))
  .sort()
  .map((name) => {
    const source = readFileSync(new URL(name, folder), 'utf8').replace(/[\\`$]/g, '\\$&');
    return `export const ${name.replace('.wgsl', '')} = \`${source}\`;\n`;
  });
const module = `// Generated from kernels/webgpu/*.wgsl by kernels/webgpu/generate.mjs.\n\n${shaders.join('\n')}`;

if (process.argv.includes('--check')) {
  if (readFileSync(target, 'utf8') !== module) {
    console.error('src/kernels/webgpu/shaders.ts is not what the .wgsl files make: run npm run shaders');
    process.exit(1);
  }
} else {
  writeFileSync(target, module);
}
