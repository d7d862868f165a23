import {existsSync, readFileSync, statSync} from 'node:fs';
import {join} from 'node:path';
import {type Requirement, requirementsOfExtra} from './requirement.ts';
import type {Place} from './wheel.ts';

/** Of TensorFlow: that for NVIDIA GPUs, or that for the CPU alone. */
export type Build = 'gpu' | 'cpu';

export const DEFAULT_VERSION = '2.20.0';

/** Those that tfjs's binding was tried with; its C API was the same in all of them. */
export const TRIED_VERSIONS = '>=2.18,<2.22';

/** The wheel that holds TensorFlow's libraries. */
export const tensorflowRequirement = (build: Build, version: string): Requirement => ({
  name: build === 'gpu' ? 'tensorflow' : 'tensorflow-cpu',
  versions: `==${version}`,
});

/** The libraries that TensorFlow opens by name (and nvJitLink, which two of them do), each with where it comes from. */
export const CUDA_LIBRARIES = [
  {file: 'libcudart.so.12', folder: 'cuda_runtime'},
  {file: 'libcublas.so.12', folder: 'cublas'},
  {file: 'libcublasLt.so.12', folder: 'cublas'},
  {file: 'libcufft.so.11', folder: 'cufft'},
  {file: 'libcusolver.so.11', folder: 'cusolver'},
  {file: 'libcusparse.so.12', folder: 'cusparse'},
  {file: 'libcudnn.so.9', folder: 'cudnn'},
  {file: 'libnvJitLink.so.12', folder: 'nvjitlink'},
] as const;

// cuDNN compiles some of its kernels where they run
const CUDA_FOLDERS = new Set<string>([...CUDA_LIBRARIES.map(({folder}) => folder), 'cuda_nvrtc']);

/** NVIDIA's wheels of these libraries, in the versions that TensorFlow's wheel asks for. */
export const cudaRequirements = (metadata: string): Requirement[] =>
  requirementsOfExtra(metadata, 'and-cuda').filter(({name}) => {
    const folder = /^nvidia-(.+?)(-cu\d+)?$/.exec(name)?.[1]?.replaceAll('-', '_');
    return folder !== undefined && CUDA_FOLDERS.has(folder);
  });

const HEADERS =
  /^tensorflow\/(include\/(?:tensorflow\/c\/|(?:tensorflow\/core|tsl)\/platform\/ctstring|xla\/tsl\/c\/).*\.h)$/;

/**
 * Where the members of the wheels go in the package's folder 'deps': TensorFlow's libraries look for NVIDIA's in
 * ../nvidia, so that none of them needs LD_LIBRARY_PATH.
 */
export const place: Place = (member) => {
  const library = /^tensorflow\/(libtensorflow_(?:cc|framework)\.so\.2)$/.exec(member)?.[1];
  if (library !== undefined) return `lib/${library}`;
  if (/^nvidia\/\w+\/lib\/[^/]+\.so[.\d]*$/.test(member)) return member;
  return HEADERS.exec(member)?.[1];
};

/** The names that the binding is linked by, and the libraries they stand for. */
export const LINKS = [
  ['libtensorflow.so', 'libtensorflow_cc.so.2'],
  ['libtensorflow_framework.so', 'libtensorflow_framework.so.2'],
] as const;

/** What the set-up leaves in 'deps', for itself and for the doctor. */
export interface Installed {
  tensorflow: string;
  build: Build;
  /** Paths in 'deps', and sizes in bytes. */
  files: Record<string, number>;
}

export const INSTALLED_FILE = 'tfjs-celora.json';

/** What was set up in a package's folder; undefined if nothing was. */
export function readInstalled(packageFolder: string): Installed | undefined {
  const path = join(packageFolder, 'deps', INSTALLED_FILE);
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined;
}

/** Those of the files set up that are gone, or of another size. */
export const missingFiles = (packageFolder: string, {files}: Installed): string[] =>
  Object.entries(files)
    .filter(
      ([path, size]) => statSync(join(packageFolder, 'deps', path), {throwIfNoEntry: false})?.size !== size,
    )
    .map(([path]) => path);
