import {existsSync} from 'node:fs';
import {mkdir, rename, rm, symlink, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {BINDING, buildBinding, copyBinding, findCompiler, loadedVersion} from './binding.ts';
import {CliError} from './cli_error.ts';
import {findGpu} from './gpu.ts';
import {platformRefusal, requireSpace} from './host.ts';
import {withPartial} from './partial.ts';
import {withByteBar} from './progress.ts';
import {isAmong, type Requirement} from './requirement.ts';
import type {SetupContext} from './setup_context.ts';
import {
  type Build,
  cudaRequirements,
  INSTALLED_FILE,
  type Installed,
  LINKS,
  missingFiles,
  place,
  readInstalled,
  TRIED_VERSIONS,
  tensorflowRequirement,
} from './tensorflow_files.ts';
import {
  copiesError,
  type FoundPackage,
  findPackage,
  installTfjsNode,
  TFJS_NODE,
  tfjsCopies,
  uninstallTfjsNode,
} from './tfjs_package.ts';
import {Wheel} from './wheel.ts';
import {WheelSource} from './wheel_source.ts';

export interface SetupOptions {
  /** Default: 'gpu' where there is an NVIDIA driver. */
  build?: Build;
  /** Of TensorFlow. */
  version: string;
  /** The folder of the project that is to have it. */
  project: string;
  indexUrl?: string;
  wheels: string[];
  binding?: string;
}

/** Bytes to download and to unpack, rounded up: TensorFlow 2.20.0, for GPUs with CUDA 12.9 and cuDNN 9.28. */
const SIZES: Record<Build, {download: number; unpacked: number}> = {
  cpu: {download: 0.26e9, unpacked: 0.78e9},
  gpu: {download: 2.96e9, unpacked: 4.9e9},
};

/**
 * Gives tfjs-node-gpu, which it installs where it is missing, the libraries of a current TensorFlow: those of its wheel,
 * and of NVIDIA's wheels for the GPU, and a binding compiled for them. All is made ready beside the package's own files
 * and then moved in at once, so that a set-up that fails or is interrupted leaves nothing behind.
 *
 * @throws CliError with what to do about it.
 */
export async function installTensorFlow(options: SetupOptions, context: SetupContext): Promise<void> {
  const {version, project} = options;
  const {host, say, signal} = context;
  const refusal = platformRefusal(host);
  if (refusal !== undefined) throw refusal;
  if (!isAmong(version, TRIED_VERSIONS)) {
    const message = `tfjs's binding works with TensorFlow ${TRIED_VERSIONS}, and --tf is ${version}`;
    throw new CliError(message, 'leave --tf out');
  }
  const build = options.build ?? ((await findGpu()) === undefined ? 'cpu' : 'gpu');
  const there = findPackage(TFJS_NODE, project);
  if (
    there !== undefined &&
    isSetUp(there, {version, build}) &&
    options.wheels.length === 0 &&
    !options.binding
  ) {
    say(`TensorFlow ${version} (${build}) is already set up in ${there.folder}`);
    return;
  }
  if (options.binding !== undefined && !existsSync(options.binding)) {
    throw new CliError(
      `there is no file ${options.binding}`,
      'give the path of a tfjs_binding.node to --binding',
    );
  }
  const compiler = options.binding === undefined ? await findCompiler(context) : undefined;
  if (there !== undefined) refuseCopies(project, there);

  const source = await WheelSource.open(options.wheels, options.indexUrl, context);
  const {download, unpacked} = SIZES[build];
  await mkdir(project, {recursive: true});
  await requireSpace(host, [
    {folder: source.cache, bytes: source.has(tensorflowRequirement(build, version)) ? 0 : download},
    {folder: there?.folder ?? project, bytes: unpacked},
  ]);
  const wheels = await openWheels(build, version, source);
  try {
    const target = there ?? (await installTfjsNode(project, context));
    try {
      refuseCopies(project, target);
      await withPartial(join(target.folder, 'deps'), async (partial) => {
        const files = await unpack(wheels, join(partial, 'deps'), context);
        if (compiler === undefined) await copyBinding(options.binding!, partial);
        else {
          say("compiling tfjs's binding");
          await buildBinding(compiler, target.folder, partial, context);
        }
        const loaded = await loadedVersion(partial, host, signal);
        if (loaded !== version) {
          throw new CliError(
            `the library says that it is TensorFlow ${loaded}, not ${version}`,
            'take another wheel',
          );
        }
        const installed: Installed = {tensorflow: version, build, files};
        await writeFile(join(partial, 'deps', INSTALLED_FILE), JSON.stringify(installed, null, 2));
        signal.throwIfAborted();
        await moveIn(partial, target.folder);
      });
    } catch (error) {
      if (there === undefined) await uninstallTfjsNode(project, context);
      throw error;
    }
    say(`TensorFlow ${version} (${build}) is set up in ${target.folder}; the wheels stay in ${source.cache}`);
  } finally {
    for (const wheel of wheels) wheel.close();
  }
}

function isSetUp({folder}: FoundPackage, {version, build}: {version: string; build: Build}): boolean {
  const installed = readInstalled(folder);
  return (
    installed?.tensorflow === version &&
    installed.build === build &&
    missingFiles(folder, installed).length === 0 &&
    existsSync(join(folder, BINDING))
  );
}

function refuseCopies(project: string, target: FoundPackage): void {
  const error = copiesError(tfjsCopies(project, [target]), project);
  if (error !== undefined) throw error;
}

async function openWheels(build: Build, version: string, source: WheelSource): Promise<Wheel[]> {
  const opened: Wheel[] = [];
  const open = async (requirements: Requirement[]) => {
    for (const path of await source.obtain(requirements)) opened.push(await Wheel.open(path));
  };
  try {
    await open([tensorflowRequirement(build, version)]);
    if (build === 'gpu') await open(cudaRequirements(await opened[0]!.info('METADATA')));
    source.refuseUnused();
    return opened;
  } catch (error) {
    for (const wheel of opened) wheel.close();
    throw error;
  }
}

/** Unpacks the wheels; returns the libraries' paths and sizes. */
async function unpack(
  wheels: Wheel[],
  deps: string,
  {host, signal, progress}: SetupContext,
): Promise<Record<string, number>> {
  const members = wheels.flatMap((wheel) => wheel.list(place));
  const bytes = members.reduce((sum, {size}) => sum + size, 0);
  await mkdir(join(deps, 'lib'), {recursive: true});
  await requireSpace(host, [{folder: deps, bytes}]);
  await withByteBar('unpack', bytes, progress, async (bar) => {
    for (const wheel of wheels) {
      await wheel.unpack(place, deps, {signal, onBytes: (count) => bar.add(count)});
    }
  });
  for (const [name, library] of LINKS) {
    if (!existsSync(join(deps, 'lib', library))) {
      throw new CliError(
        `${wheels[0]!.path} has no ${library}`,
        "take TensorFlow's wheel for Linux on x86_64",
      );
    }
    await symlink(library, join(deps, 'lib', name));
  }
  return Object.fromEntries(members.filter(({to}) => !to.endsWith('.h')).map(({to, size}) => [to, size]));
}

/** Puts what is ready in `partial` into the package's folder; what was there before leaves with `partial`. */
async function moveIn(partial: string, folder: string): Promise<void> {
  if (existsSync(join(folder, 'deps'))) await rename(join(folder, 'deps'), join(partial, 'before'));
  await rename(join(partial, 'deps'), join(folder, 'deps'));
  await mkdir(dirname(join(folder, BINDING)), {recursive: true});
  await rename(join(partial, BINDING), join(folder, BINDING));
  await rm(join(folder, 'build'), {recursive: true, force: true}); // node-gyp's, of another binding
}
