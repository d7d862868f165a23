import {
  type AdapterFiles,
  type CheckpointStore,
  loadAdapter,
  removeCELoRA,
  setAdapterEnabled,
} from '../../../src/index.ts';
import {type LoadedLlama, loadLlama} from '../../llama/load.ts';
import {textDataBatches} from '../../llama/text_batches.ts';
import type {Event, Job, Method, ModelSource, SampleOptions} from '../protocol.ts';
import {download} from './download.ts';
import {SettingError} from './errors.ts';
import {refuseTooLarge} from './memory.ts';
import {memoryStore} from './memory_store.ts';
import {heldOutLoss, type RunContext, runMethod} from './run.ts';
import {writeSample} from './samples.ts';
import {readText} from './text.ts';

/** A quarter of the Node demo's: a person waits for it, before and after. */
const HELD_OUT_TOKENS = 2048;

const ADAPTER_NAMES: Record<Method, string> = {celora: 'CE-LoRA', exact: 'exact LoRA'};

/** A run that can be continued. */
interface SavedRun {
  job: Job;
  stores: Record<Method, CheckpointStore>;
}

/** A language model, its adapters, and the run that trains one. */
export class Session {
  private readonly emit: (event: Event) => void;
  private readonly page: string;
  private llama: LoadedLlama | undefined;
  private name = '';
  /** The truth about adapters: the model holds the active one only. */
  private readonly adapters = new Map<string, AdapterFiles>();
  private active: string | undefined;
  private saved: SavedRun | undefined;
  private training = new AbortController();
  private sampling = new AbortController();
  private endsFor: 'paused' | 'stopped' = 'stopped';

  constructor(page: string, emit: (event: Event) => void) {
    this.page = page;
    this.emit = emit;
  }

  private get loaded(): LoadedLlama {
    if (!this.llama) throw new SettingError('no model is loaded yet');
    return this.llama;
  }

  async load(source: ModelSource): Promise<void> {
    if (source.kind !== 'embedded') throw new SettingError('only the embedded model can be loaded');
    const files = await download(new URL('model/', this.page).href, (loaded, total) =>
      this.emit({type: 'loading', loaded, total}),
    );
    const llama = await loadLlama(files);
    this.llama?.model.dispose();
    this.llama = llama;
    this.name = 'the embedded model';
    this.adapters.clear();
    this.active = undefined;
    const {numLayers: layers, hiddenSize: hidden, maxPositions} = llama.config;
    const parameters = llama.model.countParams();
    this.emit({type: 'loaded', info: {name: this.name, layers, hidden, parameters, maxPositions}});
    this.announceAdapters();
  }

  async sample(options: SampleOptions): Promise<void> {
    const {model} = this.loaded;
    this.sampling = new AbortController();
    const {signal} = this.sampling;
    const write = (by: 'base' | 'adapter') =>
      writeSample(this.loaded, options, signal, (text) => this.emit({type: 'sample', by, text}));
    if (this.active === undefined) {
      await write('base');
    } else {
      setAdapterEnabled(model, false);
      try {
        await write('base');
      } finally {
        setAdapterEnabled(model, true);
      }
      if (!signal.aborted) await write('adapter');
    }
    this.emit({type: 'sampled'});
  }

  hush(): void {
    this.sampling.abort();
  }

  async train(job: Job): Promise<void> {
    this.saved = {job, stores: {celora: memoryStore(), exact: memoryStore()}};
    await this.continue();
  }

  end(how: 'paused' | 'stopped'): void {
    this.endsFor = how;
    this.training.abort();
  }

  async continue(): Promise<void> {
    const {llama, saved, page} = {llama: this.loaded, saved: this.saved, page: this.page};
    if (!saved) throw new SettingError('there is no run to continue');
    const {text, settings} = saved.job;
    this.training = new AbortController();
    const {signal} = this.training;
    this.activate(undefined);
    const texts = await readText(text, llama.tokenizer, page);
    const batches = textDataBatches(texts, llama.tokenizer, {
      ...settings,
      completionOnly: false,
      heldOutTokens: HELD_OUT_TOKENS,
    });
    await refuseTooLarge(llama, settings);
    const {emit} = this;
    const context: RunContext = {llama, baseModel: this.name, batches, settings, emit, signal};
    const baseLoss = await heldOutLoss(context);
    if (baseLoss !== undefined) {
      emit({type: 'prepared', about: batches.about, prompt: texts.prompt, baseLoss});
      for (const method of settings.compare ? (['celora', 'exact'] as const) : (['celora'] as const)) {
        const {files, isDone} = await runMethod(context, method, saved.stores[method]);
        this.adapters.set(ADAPTER_NAMES[method], files);
        if (!isDone) break;
      }
      this.activate(ADAPTER_NAMES.celora);
    }
    const end = signal.aborted ? this.endsFor : 'done';
    if (end !== 'paused') this.saved = undefined;
    emit({type: 'trained', end});
  }

  /** Puts an adapter into the model, in the place of the one there. */
  activate(name: string | undefined): void {
    const {model} = this.loaded;
    if (this.active !== undefined) removeCELoRA(model);
    this.active = undefined;
    if (name !== undefined) {
      const files = this.adapters.get(name);
      if (!files) throw new SettingError(`there is no adapter '${name}'`);
      loadAdapter(model, files);
      this.active = name;
    }
    this.announceAdapters();
  }

  private announceAdapters(): void {
    this.emit({type: 'adapters', names: [...this.adapters.keys()], active: this.active});
  }
}
