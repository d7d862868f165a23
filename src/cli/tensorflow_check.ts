import {existsSync, realpathSync} from 'node:fs';
import {join} from 'node:path';
import {BINDING} from './binding.ts';
import type {Gpu} from './gpu.ts';
import {OLDEST_DRIVER} from './gpu.ts';
import {type Host, platformRefusal} from './host.ts';
import type {Probe, Problem, Report} from './report.ts';
import {compareVersions, isAmong} from './requirement.ts';
import {tryRun} from './run.ts';
import {
  CUDA_LIBRARIES,
  type Installed,
  missingFiles,
  readInstalled,
  TRIED_VERSIONS,
} from './tensorflow_files.ts';
import type {FoundPackage} from './tfjs_package.ts';

/** Where TensorFlow's libraries look for NVIDIA's: beside their own folder, to which 'deps/lib' may be a link. */
function nvidiaFolder(folder: string): string {
  const libraries = join(folder, 'deps/lib');
  return join(existsSync(libraries) ? realpathSync(libraries) : libraries, '../nvidia');
}

/** The libraries of CUDA that TensorFlow would not find by their names: neither set up nor of the system. */
async function missingCuda(folder: string, {env}: Host): Promise<string[]> {
  const system =
    (await tryRun('ldconfig', ['-p'], {env})) ?? (await tryRun('/sbin/ldconfig', ['-p'], {env})) ?? '';
  const nvidia = nvidiaFolder(folder);
  const folders = env.LD_LIBRARY_PATH?.split(':').filter(Boolean) ?? [];
  return CUDA_LIBRARIES.filter(
    ({file, folder: own}) =>
      !system.includes(`\t${file} `) &&
      ![join(nvidia, own, 'lib'), ...folders].some((place) => existsSync(join(place, file))),
  ).map(({file}) => file);
}

/**
 * What there is of TensorFlow's files.
 * @param gpu The GPU whose libraries are to be looked for, unless the build is that for the CPU.
 */
export async function inspect(
  found: FoundPackage,
  gpu: Gpu | undefined,
  host: Host,
): Promise<NonNullable<Report['tensorflow']>> {
  const installed: Installed | undefined = readInstalled(found.folder);
  const missing = installed === undefined ? [] : missingFiles(found.folder, installed);
  if (!existsSync(join(found.folder, BINDING))) missing.push(BINDING);
  if (gpu !== undefined && installed?.build !== 'cpu') {
    const known = missing.join(' ');
    missing.push(...(await missingCuda(found.folder, host)).filter((file) => !known.includes(file)));
  }
  return {
    folder: found.folder,
    ...(installed && {version: installed.tensorflow, build: installed.build}),
    missing,
  };
}

interface Case {
  tensorflow: Report['tensorflow'];
  gpu: Gpu | undefined;
  /** Undefined if it could not be tried. */
  probe: Probe | undefined;
  host: Host;
  /** Whether backend 'tensorflow' is the one that has to work. */
  wanted: boolean;
  /** The set-up command for the project, without --gpu or --cpu. */
  setup: string;
}

/** Whether TensorFlow was set up for the GPU that there is, and takes the CPU in silence. */
export const fallsBack = ({tensorflow, gpu, probe}: Pick<Case, 'tensorflow' | 'gpu' | 'probe'>): boolean =>
  gpu !== undefined && tensorflow?.build !== 'cpu' && probe?.works === true && probe.onGPU === false;

/** What to do about a GPU that TensorFlow does not take although all its libraries are there. */
const otherReason = ({env}: Host): string =>
  env.CUDA_VISIBLE_DEVICES === undefined
    ? "make the driver's libcuda.so.1 visible to this process: ldconfig -p | grep libcuda; for a container, --gpus all"
    : `unset CUDA_VISIBLE_DEVICES, which is '${env.CUDA_VISIBLE_DEVICES}'`;

/** What is wrong with TensorFlow here. Not having it is a problem only where it is wanted. */
export function tensorflowProblems(of: Case): Problem[] {
  const {tensorflow, gpu, probe, host, wanted, setup} = of;
  const refusal = platformRefusal(host);
  if (refusal !== undefined) return wanted ? [{problem: refusal.message, mend: refusal.mend}] : [];
  const mend = `${setup} --${tensorflow?.build ?? (gpu === undefined ? 'cpu' : 'gpu')}`;
  if (tensorflow === undefined) {
    return wanted && probe?.works === false ? [{problem: probe.reason, mend}] : [];
  }
  const problems: Problem[] = [];
  const {version, build, missing, folder} = tensorflow;
  if (missing.length > 0) problems.push({problem: `missing in ${folder}: ${missing.join(', ')}`, mend});
  else if (probe?.works === false) problems.push({problem: probe.reason, mend});
  if (version !== undefined && !isAmong(version, TRIED_VERSIONS)) {
    problems.push({
      problem: `tfjs's binding works with TensorFlow ${TRIED_VERSIONS}, and this is ${version}`,
      mend,
    });
  }
  if (gpu !== undefined && compareVersions(gpu.driver, OLDEST_DRIVER) < 0) {
    const problem = `CUDA 12 needs a driver ${OLDEST_DRIVER} or newer, and this is ${gpu.driver}`;
    problems.push({problem, mend: "install a newer driver of NVIDIA's"});
  }
  if (fallsBack(of)) {
    const problem = 'TensorFlow computes on the CPU in silence, in spite of the GPU';
    const isComplete = missing.length === 0 && build !== undefined;
    problems.push({problem, mend: isComplete ? otherReason(host) : mend});
  } else if (gpu !== undefined && build === 'cpu') {
    problems.push({problem: "TensorFlow's build for the CPU cannot use the GPU", mend: `${setup} --gpu`});
  }
  return problems;
}
