import * as tf from '@tensorflow/tfjs-core';
import {registerWebGPUKernels} from '../../src/kernels/webgpu/register.ts';
import {type ChosenBackend, chooseBackend} from '../../src/node.ts';

/**
 * Starts a backend, and sets flags of tfjs on it: CELORA_TENSORFLOW_OPS=true for one. A backend must be there for those of
 * ours.
 */
export async function startBackend(
  name: string | undefined,
  flags: readonly string[],
): Promise<ChosenBackend> {
  const chosen = await chooseBackend(name);
  // its flags come with our kernels, which are registered at the first op else
  if (chosen.backend === 'webgpu' && flags.length > 0) registerWebGPUKernels();
  for (const flag of flags) {
    const [flagName, value] = flag.split('=') as [string, string?];
    if (value === undefined || !/^(true|false|\d+)$/.test(value)) {
      throw new Error(`--flag must be NAME=true, NAME=false or NAME=NUMBER, but is '${flag}'`);
    }
    tf.env().set(flagName, JSON.parse(value));
  }
  return chosen;
}
