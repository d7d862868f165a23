import type {WorkerClient} from './client.ts';
import {byId} from './dom.ts';
import type {Phase} from './phase.ts';

const FIRST_PROMPT = 'The people of the United States';
const TOKENS = 60;

/** Writes with the base and with the active adapter, side by side. */
export function mountSamples(client: WorkerClient, phase: Phase): void {
  const form = byId<HTMLFormElement>('sample');
  const prompt = form.elements.namedItem('prompt') as HTMLInputElement;
  const temperature = form.elements.namedItem('temperature') as HTMLInputElement;
  prompt.value = FIRST_PROMPT;

  const write = () => {
    phase.enter('sampling');
    byId('sample-adapter').textContent = '';
    client.send({
      type: 'sample',
      options: {
        prompt: prompt.value,
        temperature: temperature.valueAsNumber || 0,
        maxNewTokens: TOKENS,
        seed: 0,
      },
    });
  };
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    write();
  });
  byId('hush').addEventListener('click', () => client.send({type: 'hush'}));
  client.on('loaded', write);
  client.on('sample', ({by, text}) => {
    byId(`sample-${by}`).textContent = prompt.value + text;
  });
  client.on('sampled', () => phase.settle());
  client.on('adapters', ({active}) => {
    byId('sample-adapter-name').textContent = active === undefined ? 'Fine-tuned' : `With ${active}`;
  });
  client.on('prepared', (event) => {
    prompt.value = event.prompt;
  });
  client.on('trained', write);
}
