import {installEarlyFreeing} from '../../src/index.ts';

/** Runs `body` with early freeing, and takes it out again whatever happens. */
export async function freeing<T>(body: () => T | Promise<T>): Promise<T> {
  const installation = installEarlyFreeing();
  try {
    return await body();
  } finally {
    installation.dispose();
  }
}
