import {type AdapterFiles, type Base, NonFiniteLossError} from '../../../src/index.ts';
import {sizeOf} from '../../../src/layers/half_variable.ts';
import type {ModelFiles} from '../../llama/files.ts';
import {type LoadedLlama, loadLlama} from '../../llama/load.ts';
import {llamaFiles} from '../../llama/save.ts';
import {pickedFiles} from '../../llama/source_files.ts';
import {modelAtUrl} from '../../llama/source_url.ts';
import {textDataBatches} from '../../llama/text_batches.ts';
import {parseTextData, type TextData} from '../../llama/text_data.ts';
import type {Event, Job, Method, ModelInfo, ModelSource, SampleOptions} from '../protocol.ts';
import {Adapters} from './adapters.ts';
import {bySettings, SettingError} from './errors.ts';
import {refuseTooLarge} from './memory.ts';
import {heldOutLoss, type RunContext, runMethod} from './run.ts';
import {RunStore, type SavedRun} from './run_store.ts';
import {writeSample} from './samples.ts';
import {readText} from './text.ts';
import {unzipped, zipOf} from './zip.ts';

/** A quarter of the Node demo's: a person waits for it, before and after. */
const HELD_OUT_TOKENS = 2048;

const ADAPTER_NAMES: Record<Method, string> = {celora: 'CE-LoRA', exact: 'exact LoRA'};

/** What the samples begin with; a text that was cut somewhere begins and ends with whole words. */
const promptOf = ({kind, prompt}: TextData): string =>
  kind === 'parts' ? prompt.replace(/^\S*\s+(?=\S)|\s+\S*$/g, '') : prompt;

/** A model that is loaded, and what belongs to it. */
interface Loaded extends LoadedLlama {
  name: string;
  files: ModelFiles;
  /** How its weights are held. */
  base: Base;
  adapters: Adapters;
}

const parametersOf = ({weights}: LoadedLlama['model']): number =>
  weights.reduce((sum, weight) => sum + sizeOf(weight), 0);

/** A language model, its adapters, and the run that trains one. */
export class Session {
  private readonly emit: (event: Event) => void;
  private readonly page: string;
  private readonly store = new RunStore();
  private current: Loaded | undefined;
  private training = new AbortController();
  private endsFor: 'paused' | 'stopped' = 'stopped';

  /** @param page The page's address, beside which the embedded model and the built-in text lie. */
  constructor(page: string, emit: (event: Event) => void) {
    this.page = page;
    this.emit = emit;
  }

  private get loaded(): Loaded {
    if (!this.current) throw new SettingError('no model is loaded yet');
    return this.current;
  }

  private async open(source: ModelSource): Promise<{name: string; files: ModelFiles}> {
    const onProgress = (loaded: number, total: number) => this.emit({type: 'loading', loaded, total});
    switch (source.kind) {
      case 'embedded':
        return {
          name: 'the embedded model',
          files: await modelAtUrl(new URL('model', this.page).href, {onProgress}),
        };
      case 'url':
        return {name: source.url, files: await modelAtUrl(source.url, {onProgress})};
      case 'files':
        return {name: source.name, files: pickedFiles(source.files)};
    }
  }

  async load(source: ModelSource, base: Base): Promise<void> {
    const {name, files} = await this.open(source);
    const info = await this.take(name, files, base, new Map());
    this.emit({type: 'loaded', info});
    this.announceAdapters();
    const saved = await this.store.load();
    if (saved?.model === name) this.emit({type: 'resumable', textName: saved.textName});
  }

  /** Reads a model, and takes it in the place of the one before. @param adapters By their names, to go on with. */
  private async take(
    name: string,
    files: ModelFiles,
    base: Base,
    adapters: Map<string, AdapterFiles>,
  ): Promise<ModelInfo> {
    const onProgress = (loaded: number, total: number) => this.emit({type: 'loading', loaded, total});
    const llama = await loadLlama(files, {base, segments: true, onProgress});
    this.current?.adapters.activate(undefined);
    this.current?.model.dispose();
    this.current = {...llama, name, files, base, adapters: new Adapters(llama.model, adapters)};
    const {numLayers: layers, hiddenSize: hidden, maxPositions} = llama.config;
    return {name, layers, hidden, parameters: parametersOf(llama.model), base, maxPositions};
  }

  /** Reads the model anew if its weights are to be held in another way. Its adapters stay. */
  private async hold(base: Base): Promise<void> {
    const {name, files, adapters, base: now} = this.loaded;
    if (base === now) return;
    const {active} = adapters;
    const info = await this.take(name, files, base, adapters.all);
    this.emit({type: 'reloaded', info});
    this.loaded.adapters.activate(active);
  }

  async sample(options: SampleOptions, signal: AbortSignal): Promise<void> {
    const {adapters} = this.loaded;
    const write = (by: 'base' | 'adapter') =>
      writeSample(this.loaded, options, signal, (text) => this.emit({type: 'sample', by, text}));
    try {
      await adapters.withBase(() => write('base'));
      if (adapters.active !== undefined && !signal.aborted) await write('adapter');
    } finally {
      this.emit({type: 'sampled'});
    }
  }

  async train({text, settings}: Job): Promise<void> {
    const {name: model} = this.loaded;
    const run = {model, settings, ...(await readText(text, this.page))};
    await this.run(run, () => this.store.begin(run));
  }

  /** Ends the run after the step under way; one that is paused can be continued. */
  end(how: 'paused' | 'stopped'): void {
    this.endsFor = how;
    this.training.abort();
  }

  async continue(): Promise<void> {
    const saved = await this.store.load();
    if (!saved) throw new SettingError('there is no run to continue');
    await this.run(saved);
  }

  /** Gives up a run that was paused. */
  async discard(): Promise<void> {
    await this.store.delete();
    this.emit({type: 'trained', end: 'stopped'});
  }

  /** @param begin Called when all is checked that can be wrong with it. */
  private async run({textName, text, settings}: SavedRun, begin?: () => Promise<void>): Promise<void> {
    const {emit} = this;
    const {tokenizer} = this.loaded;
    this.training = new AbortController();
    const {signal} = this.training;
    const texts = parseTextData(textName, text)(tokenizer);
    if (settings.completionOnly && texts.kind === 'parts') {
      throw new SettingError(`'${textName}' has no prompts: “completions only” is for a .jsonl`);
    }
    const batches = bySettings(() =>
      textDataBatches(texts, tokenizer, {...settings, heldOutTokens: HELD_OUT_TOKENS}),
    );
    await refuseTooLarge(this.loaded, settings);
    await this.hold(settings.base);
    const {loaded} = this;
    const {adapters, name} = loaded;
    await begin?.();
    const keep: RunContext['keep'] = (method, files) => adapters.set(ADAPTER_NAMES[method], files);
    const before = adapters.active;
    adapters.activate(undefined);
    try {
      const context: RunContext = {llama: loaded, baseModel: name, batches, settings, emit, keep, signal};
      const baseLoss = begin ? await heldOutLoss(context) : undefined;
      if (baseLoss !== undefined)
        emit({type: 'prepared', about: batches.about, prompt: promptOf(texts), baseLoss});
      const methods: Method[] = settings.compare ? ['celora', 'exact'] : ['celora'];
      for (const method of methods) {
        if (signal.aborted) break;
        await runMethod(context, method, await this.store.checkpoints(method));
      }
    } catch (error) {
      // going on would end in the same way
      if (error instanceof NonFiniteLossError || error instanceof SettingError) await this.store.delete();
      throw error;
    } finally {
      const {celora} = ADAPTER_NAMES;
      adapters.activate(adapters.names.includes(celora) ? celora : before);
      this.announceAdapters();
    }
    const end = signal.aborted ? this.endsFor : 'done';
    if (end !== 'paused') await this.store.delete();
    emit({type: 'trained', end});
  }

  activate(name: string | undefined): void {
    this.loaded.adapters.activate(name);
    this.announceAdapters();
  }

  async addAdapter(files: readonly File[]): Promise<void> {
    const name = files.length === 1 ? files[0]!.name.replace(/\.zip$/i, '') : 'adapter from files';
    this.loaded.adapters.add(name, await unzipped(files));
    this.announceAdapters();
  }

  /** An adapter's own files, or those of the model with it merged. */
  async save(name: string, merged: boolean): Promise<void> {
    const {adapters, model, files} = this.loaded;
    if (merged) {
      adapters.activate(name);
      this.announceAdapters();
    }
    const folder = `${name} ${merged ? 'merged' : 'adapter'}`.replaceAll(/[^\w.-]+/g, '-');
    const contents = merged ? await llamaFiles(model, files) : adapters.filesOf(name);
    this.emit({type: 'saved', name: `${folder}.zip`, zip: zipOf(folder, contents)});
  }

  private announceAdapters(): void {
    const {names, active} = this.loaded.adapters;
    this.emit({type: 'adapters', names, active});
  }
}
