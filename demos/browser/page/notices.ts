import type {ErrorKind} from '../protocol.ts';
import type {WorkerClient} from './client.ts';
import {byId, make} from './dom.ts';
import type {Phase} from './phase.ts';

/** What to do about an error. */
const ADVICE: Record<ErrorKind, string> = {
  backend: 'Choose another backend in the settings.',
  file: 'Choose another file.',
  model: 'Choose another model.',
  setting: 'Change the setting and try again.',
  diverged: 'Lower the learning rate and fine-tune again.',
  memory:
    'The model was loaded anew. Take a smaller batch, sequence or model; stop the run if it is offered again.',
  'device-lost': 'The model was loaded anew; a run that was under way can be resumed.',
  bug: 'Reload the page. If it comes again, it is a bug: please report this message.',
};

const sentence = (text: string): string => (/[.!?]$/.test(text) ? text : `${text}.`);

/** Shows a notice above everything until it is closed. */
export function notify(text: string, kind: 'info' | 'error' = 'info'): void {
  const close = make('button', {type: 'button', textContent: 'Close'});
  const notice = make('div', {className: kind}, make('span', {}, text), close);
  close.addEventListener('click', () => notice.remove());
  if (kind === 'error') notice.role = 'alert';
  byId('notices').append(notice);
  if (kind === 'error') notice.scrollIntoView({block: 'nearest'});
}

export function mountNotices(client: WorkerClient, phase: Phase): void {
  client.on('error', ({kind, message, fatal}) => {
    notify(`${sentence(message)} ${ADVICE[kind]}`, 'error');
    if (!fatal) {
      phase.settle();
      return;
    }
    phase.enter('broken');
    // another attempt would end as this one did where nothing was lost
    if (kind === 'memory' || kind === 'device-lost') client.restart();
  });
}
