import {execFileSync} from 'node:child_process';
import {chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {delimiter, dirname, join} from 'node:path';
import {PassThrough} from 'node:stream';
import {CliError} from '../../src/cli/cli_error.ts';
import {type Host, thisHost} from '../../src/cli/host.ts';
import {installTensorFlow, type SetupOptions} from '../../src/cli/setup_tensorflow.ts';
import {type MadeWheel, type WheelOptions, wheelOf} from './wheels.ts';

export const VERSION = '2.20.0';

/** The library of a TensorFlow that can only say its version. */
function libraryOf(version: string): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'celora-library-'));
  const input = `extern "C" const char* TF_Version() { return "${version}"; }`;
  const args = ['-shared', '-fPIC', '-x', 'c++', '-', '-Wl,-soname,libtensorflow_cc.so.2', '-o', 'made.so'];
  execFileSync('g++', args, {cwd: folder, input});
  const library = readFileSync(join(folder, 'made.so'));
  rmSync(folder, {recursive: true});
  return library;
}

interface MadeTensorFlow extends WheelOptions {
  name?: string;
  version?: string;
  /** The version that the library itself gives. */
  says?: string;
}

/** A wheel of TensorFlow as the command wants it, but small. */
export function tensorflowWheel(made: MadeTensorFlow = {}): MadeWheel {
  const {name = 'tensorflow_cpu', version = VERSION, says = version, ...options} = made;
  const library = libraryOf(says);
  const files = {
    'tensorflow/libtensorflow_cc.so.2': library,
    'tensorflow/libtensorflow_framework.so.2': library,
    'tensorflow/include/tensorflow/c/c_api.h': Buffer.from('extern "C" const char* TF_Version();\n'),
    'tensorflow/python/unwanted.py': Buffer.from('pass\n'),
  };
  return wheelOf(name, version, files, options);
}

const BINDING = `
#include <node_api.h>
#include "tensorflow/c/c_api.h"
static napi_value init(napi_env env, napi_value exports) {
  napi_value version;
  napi_create_string_utf8(env, TF_Version(), NAPI_AUTO_LENGTH, &version);
  napi_set_named_property(env, exports, "TF_Version", version);
  return exports;
}
NAPI_MODULE(tfjs_binding, init)
`;

/** Why the command cannot be tried here; undefined if it can. */
export function absence(): string | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'only on Linux on x64';
  try {
    execFileSync('g++', ['--version'], {stdio: 'ignore'});
    return undefined;
  } catch {
    return 'g++ is not installed';
  }
}

/** A machine of its own in a temporary folder: with a project, a cache, and neither pip nor npm. */
export class Machine {
  readonly root = mkdtempSync(join(tmpdir(), 'celora-machine-'));
  readonly project = join(this.root, 'project');
  readonly cache = join(this.root, 'cache/tfjs-celora');
  readonly package = join(this.project, 'node_modules/@tensorflow/tfjs-node-gpu');
  readonly host: Host;
  /** What the command told the user. */
  readonly said: string[] = [];

  constructor() {
    const bin = join(this.root, 'bin');
    const PATH = [bin, process.env.PATH].join(delimiter);
    const env = {...process.env, PATH, XDG_CACHE_HOME: join(this.root, 'cache')};
    for (const name of ['PIP_INDEX_URL', 'CXX', 'CUDA_VISIBLE_DEVICES']) Reflect.deleteProperty(env, name);
    this.host = {...thisHost(), env};
    for (const name of ['python3', 'python', 'pip3', 'pip', 'npm']) this.program(name, 'exit 1');
    this.write('node_modules/@tensorflow/tfjs-node-gpu/package.json', JSON.stringify({version: '4.22.0'}));
    this.write('node_modules/@tensorflow/tfjs-node-gpu/binding/tfjs_binding.cc', BINDING);
    this.write('node_modules/@tensorflow/tfjs-core/package.json', JSON.stringify({version: '4.22.0'}));
  }

  /** Puts a script of the shell before the machine's programs. */
  program(name: string, script: string): void {
    const path = join(this.root, 'bin', name);
    mkdirSync(dirname(path), {recursive: true});
    writeFileSync(path, `#!/bin/sh\n${script}\n`);
    chmodSync(path, 0o755);
  }

  /** Writes a file of the project. */
  write(path: string, content: string | Buffer): string {
    const file = join(this.project, path);
    mkdirSync(dirname(file), {recursive: true});
    writeFileSync(file, content);
    return file;
  }

  has = (path: string): boolean => existsSync(join(this.package, path));

  async setUp(options: Partial<SetupOptions> = {}, host: Partial<Host> = {}): Promise<void> {
    const all: SetupOptions = {build: 'cpu', version: VERSION, project: this.project, wheels: [], ...options};
    const say = (line: string) => this.said.push(line);
    await installTensorFlow(all, {
      host: {...this.host, ...host},
      signal: new AbortController().signal,
      say,
      progress: new PassThrough().resume(),
    });
  }

  /** The error that a set-up ends with, and what mends it, as one text. */
  async failure(options: Partial<SetupOptions> = {}, host: Partial<Host> = {}): Promise<string> {
    try {
      await this.setUp(options, host);
    } catch (error) {
      if (error instanceof CliError) return `${error.message}\n${error.mend}`;
      throw error;
    }
    throw new Error('it did not fail');
  }

  remove(): void {
    rmSync(this.root, {recursive: true, force: true});
  }
}
