import type {BackendName} from '../backends/choose_backend.ts';
import type {Gpu} from './gpu.ts';
import type {Build} from './tensorflow_files.ts';

/** How a trial of a backend went. */
export type Probe =
  | {works: true; device: string; onGPU?: boolean}
  /** `mend`: the command that mends it, where that is known. */
  | {works: false; reason: string; mend?: string};

/** Something that is wrong here, and the one command, or the advice, that mends it. */
export interface Problem {
  problem: string;
  mend: string;
}

/** What the doctor finds; `doctor --json` prints it. */
export interface Report {
  /** Whether the wanted backend runs, and on the GPU if TensorFlow's build for one was set up and there is one. */
  ok: boolean;
  /** Undefined if any backend will do. */
  wanted?: BackendName;
  /** The folder looked at. */
  project: string;
  node: string;
  /** 'linux x64, glibc 2.36' for one. */
  platform: string;
  gpu?: Gpu;
  /** The packages that matter and that programs in the project get, with their versions. */
  packages: Record<string, string>;
  tensorflow?: {
    folder: string;
    /** Unknown if it was not set up by this package's command. */
    version?: string;
    build?: Build;
    /** Libraries that are gone. */
    missing: string[];
  };
  backends: Record<BackendName, Probe>;
  problems: Problem[];
}

/** A report for people. */
export function reportText(report: Report): string {
  const {gpu, tensorflow, packages} = report;
  const {version = 'of unknown version', build} = tensorflow ?? {};
  const rows = Object.entries(report.backends).map(([name, probe]) => {
    const how = probe.works
      ? `works: ${probe.device}`
      : ['does not work', probe.reason, probe.mend].filter(Boolean).join(': ');
    return `  ${name.padEnd(12)}${how}`;
  });
  return [
    `project     ${report.project}`,
    `Node        ${report.node}, ${report.platform}`,
    `GPU         ${gpu ? `${gpu.name ?? 'NVIDIA'}, driver ${gpu.driver}` : 'no driver of NVIDIA'}`,
    `packages    ${
      Object.entries(packages)
        .map((entry) => entry.join(' '))
        .join(', ') || 'none'
    }`,
    `TensorFlow  ${tensorflow ? `${version}${build ? ` (${build})` : ''} in ${tensorflow.folder}` : 'none'}`,
    'backends',
    ...rows,
    ...report.problems.flatMap(({problem, mend}) => ['', `problem: ${problem}`, `   mend: ${mend}`]),
  ].join('\n');
}
