import {make} from './dom.ts';

/** Time in which a browser surely has taken up a download. */
const TAKEN_MS = 60_000;

/** Has the browser save a file. */
export function download(name: string, content: Blob): void {
  const href = URL.createObjectURL(content);
  make('a', {href, download: name}).click();
  setTimeout(() => URL.revokeObjectURL(href), TAKEN_MS);
}
