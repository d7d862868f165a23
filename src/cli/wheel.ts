import {createHash} from 'node:crypto';
import {createWriteStream} from 'node:fs';
import {mkdir} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';
import {text} from 'node:stream/consumers';
import {pipeline} from 'node:stream/promises';
import yauzl, {type Entry, type ZipFile} from 'yauzl';
import {CliError} from './cli_error.ts';
import type {Host} from './host.ts';
import {compareVersions, normalizeName} from './requirement.ts';

/** What the file name of a wheel says (PEP 427). */
export interface WheelName {
  name: string;
  version: string;
  /** 'manylinux_2_17_x86_64' for one. */
  platforms: string[];
}

/** Undefined if it is no file name of a wheel. */
export function parseWheelName(path: string): WheelName | undefined {
  const parts = /^(.+)\.whl$/.exec(basename(path))?.[1]?.split('-') ?? [];
  if (parts.length !== 5 && parts.length !== 6) return undefined;
  return {name: normalizeName(parts[0]!), version: parts[1]!, platforms: parts.at(-1)!.split('.')};
}

const OLD_NAMES: Record<string, string> = {manylinux1: '2.5', manylinux2010: '2.12', manylinux2014: '2.17'};

/** Whether a machine has the processor and a C library new enough for the native code in a wheel (PEP 600). */
export function runsHere({platforms}: WheelName, {glibc}: Host): boolean {
  return platforms.some((platform) => {
    const [, major, minor, old] = /^(?:manylinux_(\d+)_(\d+)|(manylinux\d+))_x86_64$/.exec(platform) ?? [];
    const needed = old === undefined ? major && `${major}.${minor}` : OLD_NAMES[old];
    return needed !== undefined && glibc !== undefined && compareVersions(needed, glibc) <= 0;
  });
}

/** Where a member of a wheel goes, relative to the folder it is unpacked in; undefined if it is not wanted. */
export type Place = (member: string) => string | undefined;

interface UnpackOptions {
  signal: AbortSignal;
  onBytes: (bytes: number) => void;
}

/** A wheel on disk: a zip with the SHA-256 of every member in it. */
export class Wheel {
  readonly path: string;
  readonly #zip: ZipFile;
  readonly #entries: Map<string, Entry>;

  private constructor(path: string, zip: ZipFile, entries: Map<string, Entry>) {
    this.path = path;
    this.#zip = zip;
    this.#entries = entries;
  }

  /** @throws CliError if it cannot be read as a zip. */
  static async open(path: string): Promise<Wheel> {
    try {
      const zip = await yauzl.openPromise(path, {autoClose: false});
      const entries = new Map<string, Entry>();
      for await (const entry of zip.eachEntry()) entries.set(entry.fileName, entry);
      return new Wheel(path, zip, entries);
    } catch (cause) {
      const message = `${path} cannot be read as a wheel: ${(cause as Error).message}`;
      throw new CliError(message, 'delete it, and run this again', {cause});
    }
  }

  close(): void {
    this.#zip.close();
  }

  /** The text of a member of its '….dist-info' folder, METADATA for one. */
  async info(file: string): Promise<string> {
    const entry = [...this.#entries.values()].find(({fileName}) => fileName.endsWith(`.dist-info/${file}`));
    if (entry === undefined)
      throw new CliError(`${this.path} has no ${file}`, 'it is no wheel: take another');
    return text(await this.#zip.openReadStreamPromise(entry));
  }

  /** The wanted members: where they go, and their sizes in bytes. */
  list(place: Place): {entry: Entry; to: string; size: number}[] {
    return [...this.#entries.values()].flatMap((entry) => {
      const to = entry.fileName.endsWith('/') ? undefined : place(entry.fileName);
      return to === undefined ? [] : [{entry, to, size: entry.uncompressedSize}];
    });
  }

  /**
   * Unpacks the wanted members into a folder, comparing each with its SHA-256.
   * @throws CliError if one differs.
   */
  async unpack(place: Place, folder: string, {signal, onBytes}: UnpackOptions): Promise<void> {
    const record = await this.info('RECORD');
    const digests = new Map(
      [...record.matchAll(/^"?(.+?)"?,sha256=([\w-]+)=*,/gm)].map(([, name, digest]) => [name!, digest!]),
    );
    for (const {entry, to} of this.list(place)) {
      const hash = createHash('sha256');
      const target = join(folder, to);
      await mkdir(dirname(target), {recursive: true});
      await pipeline(
        await this.#zip.openReadStreamPromise(entry),
        async function* (chunks: AsyncIterable<Buffer>) {
          for await (const chunk of chunks) {
            hash.update(chunk);
            onBytes(chunk.length);
            yield chunk;
          }
        },
        createWriteStream(target),
        {signal},
      );
      if (hash.digest('base64url') !== digests.get(entry.fileName)) {
        const message = `${this.path} is damaged: ${entry.fileName} does not have the SHA-256 that its RECORD says`;
        throw new CliError(message, 'delete it, and run this again');
      }
    }
  }
}
