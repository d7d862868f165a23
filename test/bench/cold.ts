import * as tf from '@tensorflow/tfjs-core';
import {replaceMethod} from '../../src/gradients/engine.ts';
import {AdamW, compileCELoRA, installEarlyFreeing} from '../../src/index.ts';
import type {WebGPUBackend} from '../../src/kernels/webgpu/backend.ts';
import {oursOf, sizeOf} from './own_llama.ts';
import type {Suite} from './suite.ts';

/** What a step compiles while the thread waits: so many pipelines, in so many milliseconds. */
interface Compiled {
  pipelines: number;
  compilingMs: number;
}

/** Watches the device compile; on another backend than webgpu nothing does. */
function watchPipelines(): {taken: () => Compiled; dispose: () => void} {
  const times: number[] = [];
  const {device} = tf.backend() as unknown as Partial<Pick<WebGPUBackend, 'device'>>;
  const restore =
    device &&
    replaceMethod(device, 'createComputePipeline', (stock) => (descriptor) => {
      const start = performance.now();
      const pipeline = stock.call(device, descriptor);
      times.push(performance.now() - start);
      return pipeline;
    });
  return {
    taken() {
      const taken = times.splice(0);
      return {pipelines: taken.length, compilingMs: taken.reduce((sum, ms) => sum + ms, 0)};
    },
    dispose: () => restore?.(),
  };
}

const SHAPES = ['2048,5632,4,32,4,32000,4,512'];

/**
 * The first steps of CE-LoRA in a fresh process, which compile: for how long they block the thread, and take in all. With
 * `ahead`, `compileCELoRA` runs before. One shape a process.
 */
export const coldSuite: Suite = async ({shapes = SHAPES, ahead, say}) => {
  const shape = shapes[0]!;
  const size = sizeOf(shape);
  const draw = (seed: number) =>
    tf.randomUniform([size.batch, size.t], 0, size.config.vocabSize, 'int32', seed) as tf.Tensor2D;
  const batch = [draw(1), draw(2)] as const;
  const {model, loss, variables} = oursOf(size, ...batch, {keep: 0.25, headKeep: 1});
  const optimizer = new AdamW(1e-4, {clipNorm: 1});
  const installation = installEarlyFreeing();
  // uploads and random weights are none of the first step's
  await tf.tidy(() => tf.sum(variables[0]!)).data();
  const steps: ({blockedMs: number; ms: number} & Compiled)[] = [];
  const watched = watchPipelines();
  const start = performance.now();
  const compiled = ahead ? await compileCELoRA(model, loss) : undefined;
  watched.taken();
  for (let step = 0; step < 3; step++) {
    const begun = performance.now();
    const value = optimizer.minimize(loss, true, variables)!;
    const blockedMs = performance.now() - begun;
    await value.data();
    value.dispose();
    steps.push({blockedMs, ms: performance.now() - begun, ...watched.taken()});
  }
  if (compiled) say(`${compiled.pipelines} pipelines ahead in ${compiled.milliseconds.toFixed(0)} ms`);
  for (const [step, {blockedMs, ms, pipelines, compilingMs}] of steps.entries()) {
    say(
      `step ${step + 1}: thread blocked ${blockedMs.toFixed(0)} ms, all ${ms.toFixed(0)}; ` +
        `${pipelines} pipelines in ${compilingMs.toFixed(0)}`,
    );
  }
  const totalMs = performance.now() - start;
  for (const held of [watched, installation, optimizer, model, ...batch]) held.dispose();
  say(`three steps and what compiled them: ${totalMs.toFixed(0)} ms`);
  return [{shape, ahead, compiled: compiled ?? null, steps, totalMs}];
};
