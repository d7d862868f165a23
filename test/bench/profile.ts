import * as tf from '@tensorflow/tfjs-core';
import {AdamW, installEarlyFreeing} from '../../src/index.ts';
import {formatTable} from '../../src/model/table.ts';
import {oursOf, sizeOf} from './own_llama.ts';
import {median, requireWebGPU, type Suite} from './suite.ts';

const SHAPES = ['2048,5632,4,32,4,32000,4,512'];
const CANDIDATES = {
  'exact LoRA': {keep: 1, headKeep: 1},
  'CE-LoRA keep .25, head exact': {keep: 0.25, headKeep: 1},
  'CE-LoRA keep .25, head keep .25': {keep: 0.25, headKeep: 0.25},
};
/** Shares of a step's GPU time below this are of no interest. */
const LEAST_SHARE = 0.01;

interface Program {
  name: string;
  passes: number;
  gpuMs: number;
}

/** GPU time of what `run` does, by program. */
async function programsOf(run: () => void): Promise<Program[]> {
  const info = await tf.time(run);
  const text = (info as unknown as {getExtraProfileInfo(): string}).getExtraProfileInfo();
  const programs = new Map<string, Program>();
  for (const [, name, ms] of text.matchAll(/(\w+): ([\d.e-]+)/g)) {
    const program = programs.get(name!) ?? {name: name!, passes: 0, gpuMs: 0};
    programs.set(name!, program);
    program.passes++;
    program.gpuMs += Number(ms);
  }
  return [...programs.values()].sort((a, b) => b.gpuMs - a.gpuMs);
}

/** Where the time of a training step goes on WebGPU: GPU time by program, and how long the thread is taken. */
export const profileSuite: Suite = async ({rounds, shapes = SHAPES, say}) => {
  requireWebGPU('profile');
  const results: object[] = [];
  for (const shape of shapes) {
    const size = sizeOf(shape);
    const draw = (seed: number) =>
      tf.randomUniform([size.batch, size.t], 0, size.config.vocabSize, 'int32', seed) as tf.Tensor2D;
    const batch = [draw(1), draw(2)] as const;
    for (const [candidate, made] of Object.entries(CANDIDATES)) {
      const {model, loss, variables} = oursOf(size, ...batch, made);
      const optimizer = new AdamW(1e-4);
      const installation = installEarlyFreeing();
      const step = () => optimizer.minimize(loss, true, variables)!;
      const times: {threadMs: number; ms: number}[] = [];
      // the first ones compile, and meet bind groups for the first time
      for (let round = -10; round < rounds; round++) {
        const start = performance.now();
        const value = step();
        const threadMs = performance.now() - start;
        await value.data();
        value.dispose();
        if (round >= 0) times.push({threadMs, ms: performance.now() - start});
      }
      const programs = await programsOf(() => step().dispose());
      const gpuMs = programs.reduce((sum, program) => sum + program.gpuMs, 0);
      const passes = programs.reduce((sum, program) => sum + program.passes, 0);
      const threadMs = median(times.map((time) => time.threadMs));
      const ms = median(times.map((time) => time.ms));
      say(
        `\n${candidate}: ${ms.toFixed(1)} ms a step; the thread is taken for ${threadMs.toFixed(1)}, the GPU by ${passes} passes for ${gpuMs.toFixed(1)}`,
      );
      say(
        formatTable([
          ['', 'passes', 'GPU ms'],
          ...programs
            .filter((program) => program.gpuMs >= LEAST_SHARE * gpuMs)
            .map((program) => [program.name, program.passes, program.gpuMs.toFixed(2)]),
        ]),
      );
      results.push({shape, candidate, stepMs: ms, threadMs, gpuMs, passes, programs});
      for (const held of [installation, optimizer, model]) held.dispose();
    }
    tf.dispose(batch as unknown as tf.Tensor[]);
  }
  return results;
};
