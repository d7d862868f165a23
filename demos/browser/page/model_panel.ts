import type {WorkerClient} from './client.ts';
import {byId} from './dom.ts';
import {notify} from './notices.ts';
import type {Phase} from './phase.ts';
import {bytes, count} from './units.ts';

export function mountModel(client: WorkerClient, phase: Phase): void {
  const progress = byId<HTMLProgressElement>('model-progress');
  const about = byId('model-about');
  client.on('started', ({info}) => {
    byId('backend').textContent = info.device;
    if (info.reason !== '') {
      notify(
        `No GPU is used: ${info.reason}. WebAssembly computes on the processor, several times slower, and there CE-LoRA ` +
          'saves little time.',
      );
    }
    client.send({type: 'load', source: {kind: 'embedded'}});
  });
  client.on('loading', ({loaded, total}) => {
    progress.hidden = false;
    progress.max = total;
    progress.value = loaded;
    about.textContent = `${bytes(loaded)} of ${bytes(total)}`;
  });
  client.on('loaded', ({info}) => {
    progress.hidden = true;
    about.textContent =
      `${info.name}: ${count(info.parameters)} parameters, ${info.layers} layers, hidden ${info.hidden}, ` +
      `${info.maxPositions} positions`;
    phase.enter('ready');
  });
}
