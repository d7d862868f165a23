import type {WorkerClient} from './client.ts';
import {byId, make} from './dom.ts';
import {download} from './download.ts';
import {onFiles} from './drop.ts';

/** Lists the adapters: one of them, or none, takes part; it can be downloaded, and others loaded. */
export function mountKeep(client: WorkerClient): void {
  let active: string | undefined;
  const choice = (label: string, adapter: string | undefined) => {
    const radio = make('input', {type: 'radio', name: 'adapter', checked: adapter === active});
    radio.addEventListener('change', () => client.send({type: 'activate', adapter}));
    return make('label', {}, radio, ` ${label}`);
  };
  const save = (merged: boolean) => {
    if (active !== undefined) client.send({type: 'save', adapter: active, merged});
  };

  client.on('adapters', (event) => {
    active = event.active;
    byId('adapters').replaceChildren(
      choice('base model', undefined),
      ...event.names.map((name) => choice(name, name)),
    );
    byId('keep-buttons').hidden = active === undefined;
  });
  client.on('saved', ({name, zip}) => download(name, zip));
  byId('save-adapter').addEventListener('click', () => save(false));
  byId('save-merged').addEventListener('click', () => save(true));
  onFiles(byId('adapter-drop'), (files) => {
    client.send({type: 'add-adapter', files});
  });
}
