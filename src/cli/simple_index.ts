import {createHash} from 'node:crypto';
import {createWriteStream} from 'node:fs';
import {rename} from 'node:fs/promises';
import {join} from 'node:path';
import {Readable} from 'node:stream';
import {pipeline} from 'node:stream/promises';
import type {ReadableStream} from 'node:stream/web';
import {CliError} from './cli_error.ts';
import {cacheFolder} from './host.ts';
import {withPartial} from './partial.ts';
import {type ByteBar, withByteBar} from './progress.ts';
import {compareVersions, isAmong, type Requirement, requirementText} from './requirement.ts';
import type {SetupContext} from './setup_context.ts';
import {parseWheelName, runsHere, type WheelName} from './wheel.ts';

/** A file as an index lists it (PEP 691, 700). */
interface IndexFile {
  filename: string;
  url: string;
  hashes: {sha256?: string};
  size?: number;
  yanked?: boolean | string;
}

const JSON_TYPE = 'application/vnd.pypi.simple.v1+json';

const INSTEAD =
  'install pip, which knows your proxy and certificates, or take wheels that you have with --wheel FILE' +
  ' (this Node itself goes through a proxy only with NODE_USE_ENV_PROXY=1, from Node 24 on)';

/** Fetches; the name and password in an address go into a header, as fetch wants it. */
async function get(url: URL, accept: string, signal: AbortSignal): Promise<Response> {
  const {username, password} = url;
  const address = new URL(url);
  address.username = address.password = '';
  const headers: Record<string, string> = {accept};
  if (username !== '') {
    const login = [username, password].map(decodeURIComponent).join(':');
    headers.authorization = `Basic ${Buffer.from(login).toString('base64')}`;
  }
  let response: Response;
  try {
    response = await fetch(address, {headers, signal});
  } catch (cause) {
    signal.throwIfAborted();
    const {code, message} = ((cause as Error).cause ?? cause) as NodeJS.ErrnoException;
    throw new CliError(`${address.host} cannot be reached: ${code ?? message}`, INSTEAD, {cause});
  }
  if (!response.ok) {
    throw new CliError(`${address} answers ${response.status} ${response.statusText}`, INSTEAD);
  }
  return response;
}

/** The newest wheel that meets a requirement and runs here. */
async function find(
  requirement: Requirement,
  index: URL,
  {host, signal}: SetupContext,
): Promise<IndexFile & WheelName> {
  const page = new URL(`${requirement.name}/`, index);
  const response = await get(page, JSON_TYPE, signal);
  if (!response.headers.get('content-type')?.startsWith(JSON_TYPE)) {
    throw new CliError(`${page.host} does not list its files as JSON (PEP 691)`, INSTEAD);
  }
  const {files} = (await response.json()) as {files: IndexFile[]};
  const newest = files
    .flatMap((file) => {
      const name = parseWheelName(file.filename);
      return name === undefined || file.yanked ? [] : [{...file, ...name, url: new URL(file.url, page).href}];
    })
    .filter((wheel) => isAmong(wheel.version, requirement.versions) && runsHere(wheel, host))
    .sort((a, b) => compareVersions(b.version, a.version))[0];
  if (newest === undefined) {
    const message = `${page.host} has no wheel of ${requirementText(requirement)} for Linux on x64, glibc ${host.glibc}`;
    throw new CliError(message, 'choose another --tf, or another --index-url');
  }
  return newest;
}

/** Downloads one wheel into the cache, where it appears when its length and SHA-256 are right. */
async function fetchWheel(
  {filename, url, hashes, size}: IndexFile,
  bar: ByteBar,
  {host, signal}: SetupContext,
): Promise<void> {
  const target = join(cacheFolder(host), filename);
  await withPartial(target, async (partial) => {
    const {body} = await get(new URL(url), '*/*', signal);
    const hash = createHash('sha256');
    let bytes = 0;
    const count = async function* (chunks: AsyncIterable<Uint8Array>) {
      for await (const chunk of chunks) {
        hash.update(chunk);
        bytes += chunk.length;
        bar.add(chunk.length);
        yield chunk;
      }
    };
    try {
      await pipeline(Readable.fromWeb(body as ReadableStream), count, createWriteStream(partial), {signal});
    } catch (cause) {
      signal.throwIfAborted();
      const all = size === undefined ? '' : ` of ${size}`;
      const why = `broke off after ${bytes}${all} bytes: ${(cause as Error).message}`;
      throw new CliError(`the download of ${filename} ${why}`, 'run this again', {cause});
    }
    const digest = hash.digest('hex');
    if (digest !== hashes.sha256) {
      const expected = hashes.sha256 ?? 'none';
      const message = `${filename} has the SHA-256 ${digest}, and the index says ${expected}: it was not kept`;
      throw new CliError(
        message,
        'run this again; if it repeats, do not trust that index or the proxy before it',
      );
    }
    await rename(partial, target);
  });
}

/** Downloads wheels into the cache from an index that lists them as JSON. */
export async function downloadFromIndex(
  requirements: Requirement[],
  indexUrl: string,
  context: SetupContext,
): Promise<void> {
  const index = new URL(indexUrl.endsWith('/') ? indexUrl : `${indexUrl}/`);
  const files = await Promise.all(requirements.map((requirement) => find(requirement, index, context)));
  const total = files.reduce((sum, {size}) => sum + (size ?? 0), 0);
  await withByteBar('download', total, context.progress, async (bar) => {
    for (const file of files) await fetchWheel(file, bar, context);
  });
}
