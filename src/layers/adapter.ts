import type * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import type {CELoRAConfig} from '../config.ts';

/** The name of an adapter that was given none. */
export const DEFAULT_ADAPTER = 'default';

/** The options of CE-LoRA that belong to an adapter; the others belong to its layer. */
export type AdapterConfig = Pick<CELoRAConfig, 'rank' | 'alpha' | 'rslora' | 'loraDropout'>;

/** What the names of an adapter's variables begin with, beside a kernel `…/kernel`: `…/lora_`. */
export const adapterPrefix = (kernel: tfl.LayerVariable): string =>
  `${kernel.originalName.replace(/[^/]*$/, '')}lora_`;

/** One LoRA adapter of one layer: it adds s·AB to the kernel, A [in, rank], B [rank, units]. */
export class LoRAAdapter {
  readonly config: Readonly<AdapterConfig>;
  readonly loraA: tfl.LayerVariable;
  readonly loraB: tfl.LayerVariable;

  /**
   * @param prefix What its variables' names begin with: `…/lora_` gives `…/lora_a` and `…/lora_b`.
   * @param a A's initial values [in, rank], float32; the caller disposes them.
   * @param b B's initial values [rank, units], likewise.
   */
  constructor(prefix: string, {rank, alpha, rslora, loraDropout}: AdapterConfig, a: tf.Tensor, b: tf.Tensor) {
    this.config = {rank, alpha, rslora, loraDropout};
    this.loraA = new tfl.LayerVariable(a, 'float32', `${prefix}a`);
    this.loraB = new tfl.LayerVariable(b, 'float32', `${prefix}b`);
  }

  dispose(): void {
    this.loraA.dispose();
    this.loraB.dispose();
  }
}

/** An adapter that changes nothing yet: A uniform in ±1/√in, B zero. @param seed An integer ≥ 0. */
export function freshAdapter(
  prefix: string,
  config: AdapterConfig,
  {inputs, units}: {inputs: number; units: number},
  seed: number,
): LoRAAdapter {
  const bound = 1 / Math.sqrt(inputs);
  // tfjs takes seed 0 for none
  const uniform = tfl.initializers.randomUniform({minval: -bound, maxval: bound, seed: seed + 1});
  const a = uniform.apply([inputs, config.rank]);
  const b = tfl.initializers.zeros().apply([config.rank, units]);
  const adapter = new LoRAAdapter(prefix, config, a, b);
  a.dispose();
  b.dispose();
  return adapter;
}

/** The adapters of one layer by their names. It owns them; at most one of them, the active one, takes part. */
export class AdapterSet {
  private readonly adapters = new Map<string, LoRAAdapter>();
  private name = DEFAULT_ADAPTER;
  private readonly onChange: () => void;

  /** @param onChange Called when another adapter, or none, has become the active one. */
  constructor(onChange: () => void) {
    this.onChange = onChange;
  }

  get names(): string[] {
    return [...this.adapters.keys()];
  }

  get activeName(): string {
    return this.name;
  }

  /** The adapter that takes part, if there is one under the active name. */
  get active(): LoRAAdapter | undefined {
    return this.adapters.get(this.name);
  }

  get(name: string): LoRAAdapter | undefined {
    return this.adapters.get(name);
  }

  /** Puts an adapter, or none, in the place of the one of that name, which is disposed. */
  set(name: string, adapter: LoRAAdapter | undefined): void {
    this.adapters.get(name)?.dispose();
    if (adapter) this.adapters.set(name, adapter);
    else this.adapters.delete(name);
    if (name === this.name) this.onChange();
  }

  /** Makes the adapter of that name the active one; none takes part while there is none. */
  activate(name: string): void {
    if (name === this.name) return;
    this.name = name;
    this.onChange();
  }

  /** Frees the others: the active one's variables are the layer's weights, and disposed as such. */
  disposeInactive(): void {
    for (const [name, adapter] of this.adapters) {
      if (name === this.name) continue;
      adapter.dispose();
      this.adapters.delete(name);
    }
  }
}
