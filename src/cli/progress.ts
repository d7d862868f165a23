import {Presets, SingleBar} from 'cli-progress';

const MEGABYTE = 1e6;

/** A progress bar in bytes; where `stream` is no terminal, a line every few seconds. */
export class ByteBar {
  readonly #bar: SingleBar;
  #bytes = 0;

  constructor(title: string, totalBytes: number, stream: NodeJS.WritableStream) {
    this.#bar = new SingleBar(
      {
        format: `${title} {bar} {value}/{total} MB, {eta_formatted} left`,
        barsize: 20,
        stream,
        noTTYOutput: true,
        notTTYSchedule: 5000,
        // wide lines are cut instead, so that no setting of the terminal is to be restored after Ctrl-C
        linewrap: true,
        // in updates of some 64 kB each: with less the time that is left jumps
        etaBuffer: 2000,
        clearOnComplete: !('isTTY' in stream && stream.isTTY),
        formatValue: (value, _, type) =>
          type === 'value' || type === 'total' ? (value / MEGABYTE).toFixed(0) : String(value),
      },
      Presets.shades_classic,
    );
    this.#bar.start(totalBytes, 0);
  }

  add(bytes: number): void {
    this.#bytes += bytes;
    this.#bar.update(this.#bytes);
  }

  stop(): void {
    this.#bar.stop();
  }
}

/** Calls `work` with a bar that ends with it. */
export async function withByteBar<T>(
  title: string,
  totalBytes: number,
  stream: NodeJS.WritableStream,
  work: (bar: ByteBar) => Promise<T>,
): Promise<T> {
  const bar = new ByteBar(title, totalBytes, stream);
  try {
    return await work(bar);
  } finally {
    bar.stop();
  }
}
