import {existsSync, readFileSync} from 'node:fs';
import {tryRun} from './run.ts';

/** An NVIDIA GPU, or only its driver. */
export interface Gpu {
  /** 'NVIDIA H200' for one; undefined if only the driver is known. */
  name: string | undefined;
  driver: string;
}

const DRIVER = '/proc/driver/nvidia/version';

/** The first NVIDIA GPU of this machine; undefined if there is none, or no driver for it. */
export async function findGpu(): Promise<Gpu | undefined> {
  const query = ['--query-gpu=name,driver_version', '--format=csv,noheader'];
  const line = (await tryRun('nvidia-smi', query, {timeout: 10_000}))?.trim().split('\n')[0];
  const [name, driver] = line?.split(', ') ?? [];
  if (name && driver) return {name, driver};
  const version = existsSync(DRIVER)
    ? /\s(\d+\.\d+(\.\d+)?)\s/.exec(readFileSync(DRIVER, 'utf8'))?.[1]
    : undefined;
  return version === undefined ? undefined : {name: undefined, driver: version};
}

/** The oldest driver for Linux that runs programs of CUDA 12. */
export const OLDEST_DRIVER = '525.60.13';
