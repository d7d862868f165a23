import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import type {Event, Method} from '../../../demos/browser/protocol.ts';
import type {Settings} from '../../../demos/browser/settings.ts';
import {runMethod} from '../../../demos/browser/worker/run.ts';
import {mobyDick} from '../../../demos/data.ts';
import {loadLlama} from '../../../demos/llama/load.ts';
import {textDataBatches} from '../../../demos/llama/text_batches.ts';
import {parseTextData} from '../../../demos/llama/text_data.ts';
import {modelFolder} from '../../../demos/node/model_folder.ts';
import {folderStore} from '../../../src/node.ts';

const MODEL = fileURLToPath(new URL('../../../demos/model', import.meta.url));

/** Tokens in a second of each method, in the last steps of its run. */
export type Speeds = Record<Method, number>;

/** The speeds that the events of a run tell. */
export function speedsOf(events: readonly Event[]): Speeds {
  const steps = events.filter((event) => event.type === 'step');
  const last = (method: Method) => steps.findLast((step) => step.method === method)!.figures.tokensPerSecond;
  return {celora: last('celora'), exact: last('exact')};
}

/** The run of the browser demo's worker, of the embedded model on Moby Dick, in this process. */
export async function runInNode(settings: Settings): Promise<Speeds> {
  const llama = await loadLlama(modelFolder(MODEL), {base: settings.base, segments: true});
  const text = new TextEncoder().encode(await mobyDick());
  const texts = parseTextData('moby-dick.txt', text)(llama.tokenizer);
  const {batch, seq} = settings;
  const batches = textDataBatches(texts, llama.tokenizer, {...settings, heldOutTokens: batch * seq});
  const folder = await mkdtemp(join(tmpdir(), 'celora-bench-'));
  const events: Event[] = [];
  const context = {
    llama,
    baseModel: 'demos/model',
    batches,
    settings,
    emit: (event: Event) => void events.push(event),
    keep: () => {},
    signal: new AbortController().signal,
  };
  for (const method of ['celora', 'exact'] as const) {
    await runMethod(context, method, folderStore(join(folder, method)));
  }
  llama.model.dispose();
  await rm(folder, {recursive: true});
  return speedsOf(events);
}
