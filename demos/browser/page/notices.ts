import type {ErrorKind} from '../protocol.ts';
import type {WorkerClient} from './client.ts';
import {byId, make} from './dom.ts';
import type {Phase} from './phase.ts';

/** What to do about an error. */
const ADVICE: Record<ErrorKind, string> = {
  backend: 'Choose another backend in the settings.',
  file: 'Choose another file.',
  setting: 'Change the setting, and try again.',
  diverged: 'Lower the learning rate, and fine-tune again.',
  memory: 'Take a smaller batch, sequence or model. The worker was started anew.',
  'device-lost': 'The worker was started anew.',
  bug: 'Reload the page; if it comes again, report it with this message.',
};

/** Shows a notice above everything until it is closed. */
export function notify(text: string, kind: 'info' | 'error' = 'info'): void {
  const close = make('button', {textContent: 'Close', onclick: () => notice.remove()});
  const notice = make('div', {className: kind}, make('span', {}, text), close);
  byId('notices').append(notice);
}

export function mountNotices(client: WorkerClient, phase: Phase): void {
  client.on('error', ({kind, message, fatal}) => {
    notify(`${message}. ${ADVICE[kind]}`, 'error');
    if (!fatal) {
      phase.enter('ready');
      return;
    }
    phase.enter('broken');
    if (kind === 'memory' || kind === 'device-lost') client.start('auto');
  });
}
