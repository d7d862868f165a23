// Builds the addon with our TensorFlow ops, native/celora_ops.node: node kernels/cuda/build_native.mjs
// It needs a C++ compiler (CXX, else g++) and the headers of Node's C interface (npm's package of them, else NODE_HEADERS);
// neither TensorFlow nor CUDA, which it finds at run time.
import {spawnSync} from 'node:child_process';
import {mkdirSync, readdirSync} from 'node:fs';
import {createRequire} from 'node:module';
import {dirname, resolve} from 'node:path';
import {fileURLToPath} from 'node:url';

const folder = dirname(fileURLToPath(import.meta.url));
const target = resolve(folder, '../../native/celora_ops.node');
const headers = process.env.NODE_HEADERS ?? createRequire(import.meta.url)('node-api-headers').include_dir;
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
