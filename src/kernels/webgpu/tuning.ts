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
  // an H100, widths 64 to 4096, 16 to 8192 rows; milliseconds by the GPU's clock (test/bench/results/tune-webgpu-h100.json), which
  // at small loads runs slowly: compare within a shape
  hopper: {
    // it has 132 processors. Tiles so chosen and cut take 1.01 times the best form of each shape on average, with 64 1.10, with 256
    // 1.04, all cut 1.12: in two parts, the 128 tiles of [1024, 512] · [512, 512] take .084 instead of .060
    CELORA_LEAST_TILES: 128,
    // xW of 16 rows, cut / whole / stock: .023 / .026 / .024 at 512², .039 / .086 / .080 at 2048², .085 / .143 / .177 at 4096²;
    // skinny products, always cut, take 1.10 times the best form of each shape, with other values 1.12 to 1.18
    CELORA_CUT_WORKGROUPS: 256,
    CELORA_CUT_LEAST_DEPTH: 128,
    // x A of depth 4096, whole rows / cut: .020 / .027 at 16 rows, .024 / .031 at 1024, .120 / .101 at 8192; between the latter
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
