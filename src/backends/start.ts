import * as tf from '@tensorflow/tfjs-core';

/** Whether an import failed because its package is not installed. */
export const isMissing = ({code}: NodeJS.ErrnoException): boolean =>
  code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND';

/**
 * Imports packages that need not be installed.
 * @throws Error that says how to install them, or why they do not load.
 */
export async function importOptional<T>(
  what: string,
  packages: string[],
  load: () => Promise<T>,
): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    const error = cause as Error;
    const why = isMissing(error)
      ? `is not installed: npm install ${packages.join(' ')}`
      : `does not load: ${error.message.split('\n')[0]}`;
    throw new Error(`${what} ${why}`, {cause});
  }
}

/** Makes `name` the current backend; tfjs itself only returns false where that fails. */
export async function activate(name: string): Promise<void> {
  if (!(await tf.setBackend(name))) throw new Error(`the backend '${name}' does not start`);
}
