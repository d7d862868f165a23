import {ModelError} from './files.ts';

export interface FetchOptions {
  signal?: AbortSignal;
  /** Called with the bytes of this file that are there, of which a server may have us begin anew. */
  onBytes?: (loaded: number) => void;
}

/** How often a download is taken up again before it counts as failed; bytes that come in between begin the count anew. */
const ATTEMPTS = 5;
/** Milliseconds before the second attempt; twice as many before each later one. */
const PAUSE = 250;

const STATUS: Readonly<Record<number, string>> = {
  401: 'the server wants a login: a private model, or one whose licence is to be accepted first',
  403: 'the server refuses it: a private model, or one whose licence is to be accepted first',
  404: 'there is no such file',
};

/** A server's answer with another meaning than "here it is". */
const refused = (url: string, {status, statusText}: Response) =>
  new ModelError(`${url} cannot be read: ${STATUS[status] ?? `${status} ${statusText}`.trim()}`);

/** Worth asking again: the server is busy or in trouble, or the connection broke. */
const isPassing = (status: number): boolean => status === 408 || status === 429 || status >= 500;

const unreachable = (url: string, {message}: Error) =>
  new ModelError(
    `${url} cannot be reached (${message}): the address is wrong, there is no network, or the server allows no other pages (CORS)`,
  );

function pause(attempt: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(signal!.reason as Error);
    };
    const timer = setTimeout(
      () => {
        signal?.removeEventListener('abort', abort);
        resolve();
      },
      PAUSE * 2 ** attempt,
    );
    signal?.addEventListener('abort', abort, {once: true});
  });
}

/**
 * Asks until there is an answer that is no passing trouble.
 * @throws ModelError if there is none; the signal's reason if it is aborted.
 */
export async function ask(
  url: string,
  {signal, ...init}: Omit<RequestInit, 'signal'> & {signal?: AbortSignal | undefined},
): Promise<Response> {
  for (let attempt = 0; ; attempt++) {
    try {
      const response = await fetch(url, {...init, ...(signal ? {signal} : {})});
      if (!isPassing(response.status) || attempt === ATTEMPTS - 1) return response;
      await response.body?.cancel();
    } catch (error) {
      signal?.throwIfAborted();
      if (attempt === ATTEMPTS - 1) throw unreachable(url, error as Error);
    }
    await pause(attempt, signal);
  }
}

/** Whether an answer to a request for the rest of a file is of another file by now; other origins' headers may be hidden. */
function isOther({status, headers}: Response, start: number, tag: string | null): boolean {
  if (status === 416) return true;
  if (status !== 206) return false;
  const range = headers.get('content-range');
  const now = tagOf(headers);
  return (range !== null && !range.startsWith(`bytes ${start}-`)) || (tag ?? now) !== (now ?? tag);
}

const tagOf = (headers: Headers): string | null => headers.get('etag') ?? headers.get('last-modified');

/**
 * Downloads a file. Where the connection breaks it goes on at the byte where it broke, if the server can do that and the file
 * is still the same, else from the beginning.
 * @throws ModelError naming the address and what is wrong; the signal's reason if it is aborted.
 */
export async function fetchFile(url: string, {signal, onBytes}: FetchOptions = {}): Promise<Blob> {
  let parts: Uint8Array<ArrayBuffer>[] = [];
  let loaded = 0;
  let furthest = 0;
  let tag: string | null = null;
  const beginAnew = () => {
    parts = [];
    loaded = 0;
    tag = null;
  };
  for (let attempt = 0; ; ) {
    const response = await ask(url, {signal, headers: loaded > 0 ? {range: `bytes=${loaded}-`} : {}});
    if (loaded > 0 && isOther(response, loaded, tag)) {
      await response.body?.cancel();
      beginAnew();
      continue;
    }
    if (!response.ok) throw refused(url, response);
    if (response.status !== 206) beginAnew();
    tag = tagOf(response.headers);
    try {
      const reader = response.body!.getReader();
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        parts.push(part.value);
        loaded += part.value.length;
        if (loaded > furthest) {
          furthest = loaded;
          attempt = 0;
        }
        onBytes?.(loaded);
      }
      return new Blob(parts);
    } catch (error) {
      signal?.throwIfAborted();
      if (++attempt === ATTEMPTS) {
        throw new ModelError(`${url} breaks off at byte ${loaded} (${(error as Error).message})`);
      }
      await pause(attempt, signal);
    }
  }
}
