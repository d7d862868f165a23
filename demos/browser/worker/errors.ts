import {FileError, NonFiniteLossError} from '../../../src/index.ts';
import type {ErrorKind} from '../protocol.ts';

/** A setting that cannot be had here; the message says why, with the figure. */
export class SettingError extends Error {
  override name = 'SettingError';
}

/** The messages of engines that have no memory left: of typed arrays, of WebAssembly's heap, of WebGPU. */
const NO_MEMORY =
  /out of memory|allocation failed|invalid (typed )?array length|\bOOM\b|cannot enlarge memory/i;

/** What kind of error it is, and whether the worker is of no use any more. */
export function classify(error: unknown): {kind: ErrorKind; message: string; fatal: boolean} {
  const {message} = error instanceof Error ? error : new Error(String(error));
  if (error instanceof NonFiniteLossError) return {kind: 'diverged', message, fatal: false};
  if (error instanceof SettingError) return {kind: 'setting', message, fatal: false};
  if (error instanceof FileError) return {kind: 'file', message, fatal: false};
  // an engine without memory has lost some of what it held
  if (NO_MEMORY.test(message)) return {kind: 'memory', message, fatal: true};
  return {kind: 'bug', message, fatal: false};
}

/** Does what only settings can be wrong for: what is refused is one of them. @throws SettingError */
export function bySettings<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    const {kind, message} = classify(error);
    throw kind === 'bug' || kind === 'file' ? new SettingError(message) : error;
  }
}
