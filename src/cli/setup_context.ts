import type {Host} from './host.ts';

/** What every step of the set-up needs besides its own arguments. */
export interface SetupContext {
  host: Host;
  /** Aborted by Ctrl-C. */
  signal: AbortSignal;
  /** Tells the user of a step. */
  say: (line: string) => void;
  /** Where progress bars go. */
  progress: NodeJS.WritableStream;
}
