import * as tf from '@tensorflow/tfjs-core';
import {
  AdamW,
  type Base,
  installEarlyFreeing,
  installEncodingCache,
  installGradientFixes,
  releaseFreeBuffers,
} from '../../src/index.ts';
import {formatTable} from '../../src/model/table.ts';
import {type Ours, oursOf, RANK, type Size, sizeOf} from './own_llama.ts';
import {type Projection, stockLlama, type Trainee} from './stock_llama.ts';
import {median, type Suite, sideBySide, timesSideBySide} from './suite.ts';
import {type Watched, watch} from './watch.ts';

/** hidden, ffn, layers, heads, heads of k and v, vocabulary, batch, tokens: the shape of TinyLlama with 4 layers. */
const SHAPES = ['2048,5632,4,32,4,32000,4,512'];

interface Candidate {
  name: string;
  make: () => Trainee;
  optimizer: () => tf.Optimizer;
  /** What is installed while it runs; each is disposed after. */
  install: () => {dispose: () => void}[];
}

/** What of this package a stock model is measured with. */
type Improvement = 'fixes' | 'freeing' | 'checkpoints';

/** Products of a step, forward and backward, in multiply-adds; the adapters' and the frozen factors' are left out. */
function multiplyAdds({config, batch, t}: Size, keep: number, headKeep: number): number {
  const {hiddenSize: d, intermediateSize: f, numLayers, numHeads, numKvHeads, headDim, vocabSize} = config;
  const body = numLayers * (2 * d * numHeads * headDim + 2 * d * numKvHeads * headDim + 3 * d * f);
  return batch * t * (body * (1 + keep) + d * vocabSize * (1 + headKeep));
}

async function finish(scalar: tf.Scalar): Promise<number> {
  const [value] = await scalar.data();
  scalar.dispose();
  return value!;
}

interface Result {
  candidate: string;
  forwardMs: number;
  forwardBackwardMs: number;
  stepMs: number;
  /** The least and the most. */
  stepRangeMs: [number, number];
  loss: number;
  watched: Watched;
  ceiling: number | null;
}

async function measure(candidates: (Candidate & {ceiling?: number})[], rounds: number): Promise<Result[]> {
  const running = candidates.map((candidate) => ({
    ...candidate,
    trainee: candidate.make(),
    optimizer: candidate.optimizer(),
    loss: Number.NaN,
  }));
  const each = (run: (candidate: (typeof running)[number]) => tf.Scalar) =>
    Object.fromEntries(
      running.map((candidate) => [
        candidate.name,
        async () => {
          const installed = candidate.install();
          candidate.loss = await finish(run(candidate));
          for (const installation of installed) installation.dispose();
        },
      ]),
    );
  // what the models were made with is none of the training's
  releaseFreeBuffers();
  const forward = each(({trainee}) => trainee.loss());
  const backward = each(({trainee}) => {
    const {value, grads} = tf.variableGrads(trainee.loss, trainee.variables);
    tf.dispose(grads);
    return value;
  });
  const step = each(({trainee, optimizer}) => optimizer.minimize(trainee.loss, true, trainee.variables)!);
  const times = {
    forward: await sideBySide(forward, rounds),
    backward: await sideBySide(backward, rounds),
    step: await timesSideBySide(step, rounds),
  };
  for (const {optimizer, trainee} of running) {
    optimizer.dispose();
    trainee.dispose();
  }
  const results: Result[] = [];
  for (const {name, ceiling, loss, make, optimizer: makeOptimizer, install} of candidates.map((one, i) => ({
    ...one,
    loss: running[i]!.loss,
  }))) {
    results.push({
      candidate: name,
      forwardMs: times.forward[name]!,
      forwardBackwardMs: times.backward[name]!,
      stepMs: median(times.step[name]!),
      stepRangeMs: [Math.min(...times.step[name]!), Math.max(...times.step[name]!)],
      loss,
      watched: await watchAlone({make, optimizer: makeOptimizer, install}),
      ceiling: ceiling ?? null,
    });
  }
  return results;
}

/** The same with `installEncodingCache`, which keeps what it knows from run to run; on webgpu alone. */
async function encodingCached(run: () => Promise<Result[]>): Promise<Result[]> {
  if (tf.getBackend() !== 'webgpu') return [];
  const installation = installEncodingCache();
  const results = await run();
  installation.dispose();
  return results.map((result) => ({...result, candidate: `${result.candidate}, encoding cached`}));
}

/** A step of a candidate while no other one holds memory; the second, since the first makes what is kept. */
function watchAlone({make, optimizer, install}: Omit<Candidate, 'name'>): Promise<Watched> {
  return watch(async (warm) => {
    const trainee = make();
    releaseFreeBuffers();
    const own = optimizer();
    const installed = install();
    const step = async () => void (await finish(own.minimize(trainee.loss, true, trainee.variables)!));
    await step();
    warm();
    await step();
    for (const held of [...installed, own, trainee]) held.dispose();
  });
}

/**
 * One training step of a Llama with random weights, rank 16 on all projections: stock tfjs in its forms, exact LoRA and
 * CE-LoRA of this package. What runs with unfixed gradients runs first, alone, and is labelled so.
 */
export const stepSuite: Suite = async ({rounds, shapes = SHAPES, own, base, fidelity: {only}, say}) => {
  const all: object[] = [];
  for (const shape of shapes) {
    const size = sizeOf(shape);
    const {config, batch, t} = size;
    const ids = tf.randomUniform([batch, t], 0, config.vocabSize, 'int32', 1) as tf.Tensor2D;
    const labels = tf.randomUniform([batch, t], 0, config.vocabSize, 'int32', 2) as tf.Tensor2D;
    const stock = (projection: Projection, ...improved: Improvement[]): Candidate => ({
      name: `stock ${projection === 'dense' ? 'tf.layers.dense' : 'tf.matMul'}, ${improved.join(', ') || 'gradients NOT fixed'}`,
      make: () =>
        stockLlama(config, projection, RANK, ids, labels, {checkpointed: improved.includes('checkpoints')}),
      optimizer: () => tf.train.adam(1e-4),
      install: () => [
        ...(improved.includes('fixes') ? [installGradientFixes()] : []),
        ...(improved.includes('freeing') ? [installEarlyFreeing()] : []),
      ],
    });
    const exact = multiplyAdds(size, 1, 1);
    const our = (name: string, made: Ours): Candidate & {ceiling: number} => ({
      name,
      make: () => oursOf(size, ids, labels, made),
      optimizer: () => new AdamW(1e-4),
      install: () => [installEarlyFreeing()],
      ceiling: exact / multiplyAdds(size, made.keep, made.headKeep),
    });
    say(
      `\nhidden ${config.hiddenSize}, ffn ${config.intermediateSize}, ${config.numLayers} layers, ${batch} × ${t} tokens`,
    );
    const unfixed = [stock('dense'), stock('matMul')];
    const fixed = [
      stock('dense', 'fixes'),
      stock('matMul', 'fixes'),
      stock('matMul', 'fixes', 'freeing'),
      stock('matMul', 'fixes', 'freeing', 'checkpoints'),
    ];
    const plain = our('exact LoRA, this package', {keep: 1, headKeep: 1});
    // a tied head is no layer of its own
    const headToo = (suffix: string, base?: Base) =>
      config.tiedHead
        ? []
        : [
            our(`CE-LoRA keep .25, head keep .25${suffix}`, {
              keep: 0.25,
              headKeep: 0.25,
              ...(base && {base}),
            }),
          ];
    const ours = [
      plain,
      our('CE-LoRA keep .5, head exact', {keep: 0.5, headKeep: 1}),
      our('CE-LoRA keep .25, head exact', {keep: 0.25, headKeep: 1}),
      ...headToo(''),
    ];
    // the last one is to take little memory
    const based = (base: Base) => [
      plain,
      our(`exact LoRA, base ${base}`, {keep: 1, headKeep: 1, base}),
      our(`CE-LoRA keep .25, head exact, base ${base}`, {keep: 0.25, headKeep: 1, base}),
      ...headToo(''),
      ...headToo(`, base ${base}`, base),
      our(`exact LoRA, base ${base}, checkpointed`, {keep: 1, headKeep: 1, base, checkpointed: true}),
    ];
    const wanted = ({name}: Candidate) => only === undefined || only.some((part) => name.includes(part));
    const results =
      own || base
        ? [
            ...(await measure((base ? based(base) : ours).filter(wanted), rounds)),
            ...(base
              ? []
              : await encodingCached(() => measure([plain, ...headToo('')].filter(wanted), rounds))),
          ]
        : [
            ...(await measure(unfixed.filter(wanted), rounds)),
            ...(await measure([...fixed, ...ours].filter(wanted), rounds)),
          ];
    if (results.length === 0) throw new Error(`--rows: no candidate's name has ${only?.join(' or ')} in it`);
    const own1 = (results.find(({ceiling}) => ceiling === 1) ?? results[0])!.stepMs;
    say(
      formatTable([
        [
          '',
          'forward',
          '+ backward',
          '+ optimizer',
          'least',
          'most',
          'exact ÷',
          'ceiling',
          'peak GB',
          'kernels',
          'dispatches',
          'uploads',
          'loss',
        ],
        ...results.map(
          ({candidate, forwardMs, forwardBackwardMs, stepMs, stepRangeMs, ceiling, watched, loss}) => [
            candidate,
            forwardMs.toFixed(1),
            forwardBackwardMs.toFixed(1),
            stepMs.toFixed(1),
            ...stepRangeMs.map((ms) => ms.toFixed(1)),
            (own1 / stepMs).toFixed(2),
            ceiling?.toFixed(2) ?? '',
            (watched.peakBytes / 1e9).toFixed(2),
            watched.kernels,
            watched.dispatches,
            watched.uploads,
            loss.toFixed(3),
          ],
        ),
      ]),
    );
    const {numBytesAllocatedInGPU} = tf.memory() as tf.MemoryInfo & {numBytesAllocatedInGPU?: number};
    if (numBytesAllocatedInGPU !== undefined) {
      say(
        `tfjs holds ${(numBytesAllocatedInGPU / 1e9).toFixed(2)} GB of GPU memory, free buffers of all candidates included`,
      );
    }
    all.push({
      shape,
      rank: RANK,
      candidates: results,
      ...(numBytesAllocatedInGPU !== undefined && {allocatedBytes: numBytesAllocatedInGPU}),
    });
    tf.dispose([ids, labels]);
  }
  return all;
};
