// Builds the addon with our TensorFlow ops, native/celora_ops.node: node kernels/cuda/build_native.mjs
// It needs a C++ compiler (CXX, else g++) and Node's headers; neither TensorFlow nor CUDA, which it finds at run time.
import {spawnSync} from 'node:child_process';
import {existsSync, mkdirSync, readdirSync} from 'node:fs';
import {dirname, join, resolve} from 'node:path';
import {fileURLToPath} from 'node:url';

const folder = dirname(fileURLToPath(import.meta.url));
const target = resolve(folder, '../../native/celora_ops.node');
const headers = process.env.NODE_HEADERS ?? resolve(dirname(process.execPath), '../include/node');
if (!existsSync(join(headers, 'node_api.h'))) {
  console.error(
    `there is no ${join(headers, 'node_api.h')}: NODE_HEADERS names the folder of Node's headers`,
  );
  process.exit(1);
}
mkdirSync(dirname(target), {recursive: true});
const sources = readdirSync(folder).filter((name) => name.endsWith('.cc'));
const [compiler, ...flags] = (process.env.CXX ?? 'g++').split(/\s+/);
const {status, error} = spawnSync(
  compiler,
  [
    ...flags,
    ...['-std=c++17', '-O2', '-fPIC', '-shared', '-s', '-fvisibility=hidden', '-DNAPI_VERSION=8'],
    ...['-Wall', '-Wextra', '-Wno-unknown-pragmas', '-Wno-cast-function-type'],
    // libstdc++ is in it, and seen by nobody else: Node and TensorFlow have their own
    ...['-static-libstdc++', '-ffunction-sections', '-Wl,--gc-sections', '-Wl,--exclude-libs,ALL'],
    // a worker thread that ends must not take away what is registered with TensorFlow
    '-Wl,-z,nodelete',
    ...['-I', headers, '-o', target],
    ...sources,
  ],
  {cwd: folder, stdio: 'inherit'},
);
if (error) console.error(`${compiler}: ${error.message}`);
process.exit(status ?? 1);
