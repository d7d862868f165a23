import {existsSync, realpathSync} from 'node:fs';
import {dirname, extname, join, resolve} from 'node:path';
import {fileURLToPath} from 'node:url';
import type {BackendName} from '../backends/choose_backend.ts';
import type {Gpu} from './gpu.ts';
import type {Host} from './host.ts';
import type {Probe, Problem, Report} from './report.ts';
import {run} from './run.ts';
import {fallsBack, inspect, tensorflowProblems} from './tensorflow_check.ts';
import {
  copiesError,
  type FoundPackage,
  findPackage,
  TFJS_NODE,
  TFJS_VERSION,
  tfjsCopies,
} from './tfjs_package.ts';

export const BACKENDS: BackendName[] = ['webgpu', 'tensorflow', 'wasm', 'cpu'];

const SELF = 'tfjs-celora';
const PACKAGES = [
  SELF,
  ...['core', 'layers', 'backend-webgpu', 'backend-wasm', 'backend-cpu', 'node-gpu'].map(
    (name) => `@tensorflow/tfjs-${name}`,
  ),
  'webgpu',
];

const FILE = realpathSync(fileURLToPath(import.meta.url));
const OWN_FOLDER = resolve(dirname(FILE), '../..');
// dist/cli/probe.js, or src/cli/probe.ts where this is run by tsx
const OWN_PROBE = join(dirname(FILE), `probe${extname(FILE)}`);

const OTHERWISE = "install a driver for the GPU (on Linux one with Vulkan), or take chooseBackend('wasm')";

/** Longer than a first start of TensorFlow on a GPU, which may compile kernels, takes. */
const PROBE_TIMEOUT = 120_000;

export interface DoctorOptions {
  project: string;
  /** The backend that has to work; by default any. */
  wanted?: BackendName;
  host: Host;
  gpu?: Gpu;
}

/** Tries a backend with the copy of this package that a project has. */
async function probe(
  name: BackendName,
  self: FoundPackage | undefined,
  project: string,
  host: Host,
): Promise<Probe> {
  if (self === undefined) return {works: false, reason: `${SELF} is not installed in ${project}`};
  const script = self.folder === OWN_FOLDER ? OWN_PROBE : join(self.folder, 'dist/cli/probe.js');
  if (!existsSync(script)) return {works: false, reason: `${SELF} ${self.version} is too old to be tried`};
  const env = {TF_CPP_MIN_LOG_LEVEL: '3', ...host.env};
  const {code, stdout, stderr} = await run(process.execPath, [...process.execArgv, script, name], {
    cwd: project,
    env,
    timeout: PROBE_TIMEOUT,
  });
  const line = stdout.trim().split('\n').at(-1) ?? '';
  if (code === 0 && line.startsWith('{')) return JSON.parse(line);
  const why = stderr.trim().split('\n').at(-1) || `exit code ${code}`;
  return {works: false, reason: `the process broke down: ${why}`};
}

/** Problems of Node and of the packages. */
function packageProblems(packages: Map<string, FoundPackage>, project: string): Problem[] {
  const problems: Problem[] = [];
  if (Number.parseInt(process.versions.node, 10) < 20) {
    problems.push({problem: `Node ${process.versions.node} is too old`, mend: 'install Node 20 or newer'});
  }
  const needed = [SELF, '@tensorflow/tfjs-core', '@tensorflow/tfjs-layers'].filter(
    (name) => !packages.has(name),
  );
  if (needed.length > 0) {
    problems.push({problem: `not installed: ${needed.join(', ')}`, mend: `npm install ${needed.join(' ')}`});
  }
  const tfjs = [...packages].filter(([name]) => name.startsWith('@tensorflow/'));
  const core = packages.get('@tensorflow/tfjs-core')?.version;
  const others = tfjs.filter(([, {version}]) => version !== core);
  if (core !== undefined && others.length > 0) {
    const list = others.map(([name, {version}]) => `${name} ${version}`).join(', ');
    const mend = `npm install ${tfjs.map(([name]) => `${name}@${TFJS_VERSION}`).join(' ')}`;
    problems.push({problem: `releases of tfjs differ: tfjs-core ${core}, ${list}`, mend});
  }
  const copies = tfjsCopies(project, [...packages.values()]);
  const copiesFound = copiesError(copies, project);
  if (copiesFound !== undefined) problems.push({problem: copiesFound.message, mend: copiesFound.mend});
  return problems;
}

/** Looks at everything that can keep a backend from running, and tries them all. */
export async function examine({project, wanted, host, gpu}: DoctorOptions): Promise<Report> {
  const packages = new Map(
    PACKAGES.flatMap((name): [string, FoundPackage][] => {
      const found = findPackage(name, project);
      return found === undefined ? [] : [[name, found]];
    }),
  );
  const self = packages.get(SELF);
  const probes = await Promise.all(BACKENDS.map((name) => probe(name, self, project, host)));
  const backends = Object.fromEntries(BACKENDS.map((name, i) => [name, probes[i]!])) as Record<
    BackendName,
    Probe
  >;

  const found = packages.get(TFJS_NODE);
  // where the GPU is taken, what it takes is there: by another name, or as a stub
  const wantsLibraries = !(backends.tensorflow.works && backends.tensorflow.onGPU);
  const tensorflow = found && (await inspect(found, wantsLibraries ? gpu : undefined, host));
  const here = project === process.cwd() ? '' : ` --dir ${project}`;
  const setup = `npx tfjs-celora setup tensorflow${here}`;
  // without this package no backend could be tried, and only that is known to be wrong
  const state = {tensorflow, gpu, probe: self && backends.tensorflow};
  const problems = [
    ...packageProblems(packages, project),
    ...tensorflowProblems({...state, host, wanted: wanted === 'tensorflow', setup}),
  ];
  const tried = wanted && backends[wanted];
  if (self !== undefined && tried?.works === false && wanted !== 'tensorflow') {
    problems.push({problem: tried.reason, mend: tried.mend ?? OTHERWISE});
  }
  const runs = tried?.works ?? BACKENDS.some((name) => backends[name].works);
  return {
    ok: runs && !(wanted === 'tensorflow' && fallsBack(state)),
    ...(wanted && {wanted}),
    project,
    node: process.versions.node,
    platform: [`${host.platform} ${host.arch}`, ...(host.glibc ? [`glibc ${host.glibc}`] : [])].join(', '),
    ...(gpu && {gpu}),
    packages: Object.fromEntries([...packages].map(([name, {version}]) => [name, version])),
    ...(tensorflow && {tensorflow}),
    backends,
    problems,
  };
}
