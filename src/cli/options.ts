import {resolve} from 'node:path';
import {parseArgs} from 'node:util';
import {CliError} from './cli_error.ts';
import {BACKENDS, type DoctorOptions} from './doctor.ts';
import type {SetupOptions} from './setup_tensorflow.ts';
import {DEFAULT_VERSION} from './tensorflow_files.ts';

export const USAGE = `\
npx tfjs-celora setup tensorflow [options]   gives @tensorflow/tfjs-node-gpu the libraries of a current TensorFlow
  --gpu            its build for NVIDIA GPUs, with the CUDA libraries that it needs (3 GB to download)
  --cpu            its build for the CPU (0.3 GB); default: --gpu where there is an NVIDIA driver
  --tf VERSION     of TensorFlow, 2.18 to 2.21 (${DEFAULT_VERSION})
  --dir DIR        the project that gets it (this folder); programs elsewhere find it by NODE_PATH=DIR/node_modules
  --index-url URL  package index for pip, or where there is no pip for the download (pip's own, or PIP_INDEX_URL)
  --wheel FILE     a wheel that you have, instead of a download; once for each
  --binding FILE   a tfjs_binding.node that you have, instead of compiling it

npx tfjs-celora doctor [options]             says which backends work here, what is wrong, and the command that mends it
  --backend NAME   the one that has to work, else the exit code is 1: ${BACKENDS.join(', ')} (any)
  --dir DIR        the project (this folder)
  --json           for programs`;

export type Arguments =
  | {command: 'help'}
  | {command: 'setup'; options: SetupOptions}
  | {command: 'doctor'; options: Pick<DoctorOptions, 'project' | 'wanted'>; json: boolean};

const HELP = 'npx tfjs-celora --help';

const SETUP = {
  gpu: {type: 'boolean'},
  cpu: {type: 'boolean'},
  tf: {type: 'string', default: DEFAULT_VERSION},
  dir: {type: 'string', default: '.'},
  'index-url': {type: 'string'},
  wheel: {type: 'string', multiple: true},
  binding: {type: 'string'},
} as const;

const DOCTOR = {
  backend: {type: 'string'},
  dir: {type: 'string', default: '.'},
  json: {type: 'boolean', default: false},
} as const;

function readSetup(args: string[]): SetupOptions {
  const {values} = parseArgs({args, options: SETUP});
  const {gpu, cpu, tf, dir, 'index-url': indexUrl, wheel = [], binding} = values;
  if (gpu && cpu) throw new CliError('--gpu and --cpu exclude each other', HELP);
  if (indexUrl !== undefined && !/^https?:/.test(URL.canParse(indexUrl) ? indexUrl : '')) {
    throw new CliError(`--index-url must be an address, but is '${indexUrl}'`, HELP);
  }
  return {
    version: tf,
    project: resolve(dir),
    wheels: wheel.map((file) => resolve(file)),
    ...((gpu || cpu) && {build: gpu ? 'gpu' : 'cpu'}),
    ...(indexUrl !== undefined && {indexUrl}),
    ...(binding !== undefined && {binding: resolve(binding)}),
  };
}

function readDoctor(args: string[]): Arguments {
  const {backend, dir, json} = parseArgs({args, options: DOCTOR}).values;
  const wanted = BACKENDS.find((name) => name === backend);
  if (backend !== undefined && wanted === undefined) {
    throw new CliError(`--backend must be one of ${BACKENDS.join(', ')}, but is '${backend}'`, HELP);
  }
  return {command: 'doctor', options: {project: resolve(dir), ...(wanted && {wanted})}, json};
}

/** @throws CliError that says which argument is wrong. */
export function readArguments(args: string[]): Arguments {
  const [command, ...rest] = args;
  if (command === undefined || args.includes('--help') || args.includes('-h')) return {command: 'help'};
  try {
    if (command === 'doctor') return readDoctor(rest);
    if (command === 'setup' && rest[0] === 'tensorflow') {
      return {command: 'setup', options: readSetup(rest.slice(1))};
    }
  } catch (cause) {
    if (cause instanceof CliError) throw cause;
    throw new CliError((cause as Error).message, HELP, {cause});
  }
  throw new CliError(`there is no command '${args.slice(0, 2).join(' ')}'`, HELP);
}
