import type {LayersModel} from '@tensorflow/tfjs-layers';
import {type AdapterFiles, loadAdapter, removeCELoRA, setAdapterEnabled} from '../../../src/index.ts';
import {SettingError} from './errors.ts';

/** The adapters of a model by their names, as files; the model holds the active one. */
export class Adapters {
  private readonly model: LayersModel;
  /** By their names. */
  readonly all: Map<string, AdapterFiles>;
  private current: string | undefined;

  constructor(model: LayersModel, all: Map<string, AdapterFiles>) {
    this.model = model;
    this.all = all;
  }

  get names(): string[] {
    return [...this.all.keys()];
  }

  get active(): string | undefined {
    return this.current;
  }

  filesOf(name: string): AdapterFiles {
    const files = this.all.get(name);
    if (files) return files;
    throw new SettingError(`there is no adapter '${name}'`);
  }

  /** Keeps an adapter, in the place of one of that name. */
  set(name: string, files: AdapterFiles): void {
    if (this.current === name) this.activate(undefined);
    this.all.set(name, files);
  }

  /** Makes an adapter the active one; without a name, the base alone. @throws FileError for one that does not fit. */
  activate(name: string | undefined): void {
    const files = name === undefined ? undefined : this.filesOf(name);
    if (this.current !== undefined) removeCELoRA(this.model);
    this.current = undefined;
    if (!files) return;
    loadAdapter(this.model, files);
    this.current = name;
  }

  /** Keeps an adapter from elsewhere, and makes it the active one. @throws FileError for one that does not fit; nothing changes. */
  add(name: string, files: AdapterFiles): void {
    const before = this.current;
    this.activate(undefined);
    try {
      loadAdapter(this.model, files);
    } catch (error) {
      this.activate(before);
      throw error;
    }
    this.all.set(name, files);
    this.current = name;
  }

  /** Runs `work` with the base alone. */
  async withBase<T>(work: () => Promise<T>): Promise<T> {
    if (this.current === undefined) return await work();
    setAdapterEnabled(this.model, false);
    try {
      return await work();
    } finally {
      setAdapterEnabled(this.model, true);
    }
  }
}
