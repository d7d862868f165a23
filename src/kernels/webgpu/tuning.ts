import * as tf from '@tensorflow/tfjs-core';
import type {WebGPUBackend} from './backend.ts';

/** What the sizes of workgroups' work are chosen by; flags of tf.env(), so that `npm run bench -- tune` can try others. */
export interface Tuning {
  /** Products have tiles of 64 × 64 where those of 128 × 128 would be fewer than this: too few to occupy the GPU. */
  CELORA_LEAST_WIDE_TILES: number;
  /** A product xW alone, of at most so many rows and a W of 512 × 512 or more, is tfjs's own. */
  CELORA_STOCK_ROWS: number;
  /** Numbers along the depth that a tile of 64 × 64 takes at a time: 16 or 32. */
  CELORA_NARROW_SLICE: number;
  /** Workgroups that a product in tiles of 64 × 64 aims at, by cutting the depth into parts. */
  CELORA_PRODUCT_WORKGROUPS: number;
  /** The least length of such a part. */
  CELORA_PRODUCT_LEAST_DEPTH: number;
  /** Skinny products read whole rows in one pass where there are this many of them, */
  CELORA_SKINNY_ROWS: number;
  /** and they are this long. */
  CELORA_SKINNY_ROWS_DEPTH: number;
  /** Workgroups that any other skinny product aims at, by cutting the depth into parts. */
  CELORA_SKINNY_WORKGROUPS: number;
  /** The least length of such a part. */
  CELORA_SKINNY_LEAST_DEPTH: number;
}

/** By the adapter's architecture; one that was not measured has the values of the first. */
const MEASURED: Readonly<Record<string, Tuning>> = {
  hopper: {
    CELORA_LEAST_WIDE_TILES: 128,
    // on an H100, GPU ms ours / stock at 16 and 128 rows: W 512² 0.035 / 0.024, 2048² 0.112 / 0.072, 4096² 0.279 / 0.202
    CELORA_STOCK_ROWS: 128,
    // not measured in any other way: products are uncut, and no skinny one reads whole rows
    CELORA_NARROW_SLICE: 16,
    CELORA_PRODUCT_WORKGROUPS: 1,
    CELORA_PRODUCT_LEAST_DEPTH: 256,
    CELORA_SKINNY_ROWS: 2 ** 30,
    CELORA_SKINNY_ROWS_DEPTH: 1024,
    // on an H100 skinny products so cut take 1.019 times the best cut of each shape, GPU time, on average; 512 and 256: 1.050
    CELORA_SKINNY_WORKGROUPS: 256,
    CELORA_SKINNY_LEAST_DEPTH: 128,
  },
};

/** Registers the flags, with the values for the adapter that the backend runs on. */
export function registerTuning(): void {
  for (const name of Object.keys(MEASURED.hopper!) as (keyof Tuning)[]) {
    tf.env().registerFlag(name, () => {
      const {architecture} = (tf.findBackend('webgpu') as WebGPUBackend).adapterInfo;
      return (MEASURED[architecture] ?? MEASURED.hopper!)[name];
    });
  }
}

export const tuned = (name: keyof Tuning): number => tf.env().getNumber(name);

/** Less wide a W costs the GPU hardly more with our product than with tfjs's, and the CPU less. */
const LEAST_STOCK_WIDTH = 512;

/** Whether xW alone, of so many rows, is better left to tfjs's own programs. */
export const isFasterStock = (rows: number, inputs: number, out: number): boolean =>
  rows <= tuned('CELORA_STOCK_ROWS') && Math.min(inputs, out) >= LEAST_STOCK_WIDTH;
