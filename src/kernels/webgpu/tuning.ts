import * as tf from '@tensorflow/tfjs-core';
import type {WebGPUBackend} from './backend.ts';

/** What the sizes of workgroups' work are chosen by; flags of tf.env(), so that `npm run bench -- tune` can try others. */
export interface Tuning {
  /**
   * Tiles that occupy the GPU. A product has tiles of 128 × 128 where there are so many, else of 64 × 64; where even those
   * are fewer, its depth is cut into parts.
   */
  CELORA_LEAST_TILES: number;
  /** Workgroups that a cut product aims at, and a skinny one. */
  CELORA_CUT_WORKGROUPS: number;
  /** The least length of a part. */
  CELORA_CUT_LEAST_DEPTH: number;
  /** Skinny products read whole rows in one pass where these are at most so many. */
  CELORA_SKINNY_ROWS: number;
}

/** By the adapter's architecture; one that was not measured has the values of the first. */
const MEASURED: Readonly<Record<string, Tuning>> = {
  // an H100, widths 64 to 4096, 16 to 8192 rows; milliseconds by the GPU's clock (test/bench/results/tune-webgpu-h100.json)
  hopper: {
    // it has 132 processors. Tiles so chosen and cut take 1.03 times the best form of each shape on average, all cut 1.06:
    // in two parts, the 128 tiles of [1024, 512] · [512, 512] take .045 instead of .033
    CELORA_LEAST_TILES: 128,
    // xW of 16 rows, cut / whole / stock: .024 / .033 / .024 at 512², .041 / .103 / .070 at 2048², .109 / .201 / .177 at 4096²;
    // skinny products take 1.02 times the best cut of each shape, at 512 workgroups and parts of 256 1.05
    CELORA_CUT_WORKGROUPS: 256,
    CELORA_CUT_LEAST_DEPTH: 128,
    // x A of depth 4096, whole rows / cut: .021 / .027 at 16 rows, .024 / .031 at 1024, .120 / .101 at 8192; between the latter
    // two by interpolation
    CELORA_SKINNY_ROWS: 2048,
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
