import * as tf from '@tensorflow/tfjs-core';
import {installEarlyFreeing} from '../gradients/early_freeing.ts';
import {installGradientFixes} from '../gradients/fixes/install.ts';
import {releaseFreeBuffers} from '../kernels/webgpu/free_buffers.ts';
import {modelRunner} from '../model/apply_model.ts';
import {calibrateCELoRA} from '../model/budget.ts';
import {celoraLayers} from '../model/convert.ts';
import {AdamW} from './adamw.ts';
import {Checkpoints} from './checkpoint_store.ts';
import {disposeBatch, evaluateLoss, readScalar} from './evaluate.ts';
import {
  checkFineTune,
  type FineTuneOptions,
  type FineTuneResult,
  NonFiniteLossError,
  type TrainingEvent,
} from './fine_tune_options.ts';
import {adoptBudget} from './layer_state.ts';
import {nextTurn} from './next_turn.ts';
import {Snapshot} from './snapshot.ts';
import {Trainer, trainableVariables} from './trainer.ts';
import {captureState, type Evaluation, type Progress, restoreState} from './training_state.ts';

/** The evaluation with the lowest loss, the earliest of equals. */
const bestOf = (evaluations: readonly Evaluation[]): Evaluation | undefined =>
  evaluations.reduce<Evaluation | undefined>(
    (best, one) => (best && best.loss <= one.loss ? best : one),
    undefined,
  );

/** One run of `fineTune`. */
class Run<B extends object> {
  private readonly options: FineTuneOptions<B>;
  private readonly trainer: Trainer<B>;
  private readonly checkpoints: Checkpoints | undefined;
  private progress: Progress = {step: 0, batches: 0, seconds: 0, losses: [], evaluations: []};
  private best: Snapshot | undefined;
  private saved: {step: number; name: string} | undefined;
  private begun = performance.now();
  /** The loss of the last step, which is read while the next one is computed: the device never waits. */
  private reading: Promise<void> = Promise.resolve();

  constructor(options: FineTuneOptions<B>) {
    const {model, loss, checkpointLayers, checkpoints} = options;
    const {clipNorm = 1, ...adamw} = options.optimizer ?? {};
    const clip = clipNorm === Number.POSITIVE_INFINITY ? {} : {clipNorm};
    const optimizer = new AdamW(0, {weightDecay: 0, ...adamw, ...clip});
    this.options = options;
    this.trainer = new Trainer(model, loss, optimizer, checkpointLayers);
    this.checkpoints = checkpoints && new Checkpoints(checkpoints.store);
  }

  async run(): Promise<FineTuneResult> {
    const {evaluation, checkpoints} = this.options;
    if (!(await this.resume())) await this.calibrate();
    for (;;) {
      if (this.isDue(evaluation?.every)) await this.evaluate();
      const reason = this.reasonToEnd();
      if (reason !== undefined || this.isDue(checkpoints?.every ?? 100)) await this.save();
      if (reason !== undefined) {
        await this.reading;
        if (reason !== 'aborted' && (evaluation?.keepBest ?? true)) this.best?.restore();
        const {losses, evaluations} = this.progress;
        return {reason, losses, evaluations, best: bestOf(evaluations), seconds: this.seconds()};
      }
      await this.step();
    }
  }

  private emit(event: TrainingEvent): void {
    this.options.onEvent?.(event);
  }

  private seconds(): number {
    return this.progress.seconds + (performance.now() - this.begun) / 1000;
  }

  /** Whether something that is done every so many steps is to be done now, as it is at the end. */
  private isDue(every = Number.POSITIVE_INFINITY): boolean {
    const {step} = this.progress;
    return step > 0 && (step % every === 0 || step === this.options.steps);
  }

  private reasonToEnd(): FineTuneResult['reason'] | undefined {
    const {steps, evaluation, signal} = this.options;
    const {step, evaluations} = this.progress;
    const best = bestOf(evaluations);
    const vain = best ? evaluations.length - 1 - evaluations.indexOf(best) : 0;
    if (step >= steps) return 'steps';
    if (vain >= (evaluation?.patience ?? Number.POSITIVE_INFINITY)) return 'patience';
    return signal?.aborted ? 'aborted' : undefined;
  }

  private rate(step: number): number {
    const {learningRate, steps} = this.options;
    return typeof learningRate === 'function' ? learningRate(step, steps) : learningRate;
  }

  private async step(): Promise<void> {
    const {data, accumulate = 1} = this.options;
    const batches: B[] = [];
    for (let i = 0; i < accumulate; i++) batches.push(await data.batch(this.progress.batches + i));
    const learningRate = this.rate(this.progress.step);
    this.trainer.holdExact(this.progress.step, this.options.steps);
    const {loss, refreshed} = this.trainer.step(batches, learningRate);
    const step = ++this.progress.step;
    this.progress.batches += accumulate;
    if (refreshed.length > 0) this.emit({type: 'refresh', step, layers: refreshed});
    try {
      await this.reading;
    } catch (error) {
      loss.dispose();
      throw error;
    }
    this.reading = this.readLoss(loss, step, learningRate);
    this.reading.catch(() => {}); // it is awaited one step later
    await nextTurn();
  }

  private async readLoss(scalar: tf.Scalar, step: number, learningRate: number): Promise<void> {
    const loss = await readScalar(scalar);
    if (!Number.isFinite(loss)) throw this.spoilt(`the loss became ${loss}`, step, learningRate);
    this.trainer.confirm();
    this.progress.losses.push(loss);
    this.emit({type: 'step', step, loss, learningRate});
  }

  private spoilt(what: string, step: number, learningRate: number): NonFiniteLossError {
    const {saved} = this;
    return new NonFiniteLossError(what, step, learningRate, saved && `${saved.name} of step ${saved.step}`);
  }

  private async evaluate(): Promise<void> {
    const {evaluation, loss, signal} = this.options;
    const {step, evaluations} = this.progress;
    if (!evaluation || evaluations.at(-1)?.step === step) return;
    await this.reading;
    let value: number;
    try {
      value = await evaluateLoss(evaluation.data, loss, {signal});
    } catch (error) {
      if (signal?.aborted) return;
      throw error;
    }
    if (!Number.isFinite(value))
      throw this.spoilt(`the held-out loss became ${value}`, step, this.rate(step));
    evaluations.push({step, loss: value});
    const best = bestOf(evaluations)!.step === step;
    if (best) {
      this.best?.dispose();
      this.best = new Snapshot(this.trainer.variables);
    }
    this.emit({type: 'eval', step, loss: value, best});
  }

  private async save(): Promise<void> {
    const {model} = this.options;
    const {step} = this.progress;
    if (!this.checkpoints || step === 0 || this.saved?.step === step) return;
    await this.reading;
    const progress = {...this.progress, seconds: this.seconds()};
    const state = await captureState(model, this.trainer.optimizer, progress, this.best?.tensors ?? []);
    const weights = Object.values(state.tensors);
    if (!weights.every(({data}) => data.every(Number.isFinite))) {
      throw this.spoilt('a weight became no number', step, this.rate(step - 1));
    }
    const name = await this.checkpoints.save(state);
    this.saved = {step, name};
    this.emit({type: 'checkpoint', step, name});
  }

  /** Divides the columns among several layers; dropout is off, so that no random number is used up. */
  private async calibrate(): Promise<void> {
    const {model, data, loss, budget = 'calibrated'} = this.options;
    const divisible = celoraLayers(model).filter(({config}) => config.keep < 1 && config.axis === 'columns');
    if (budget === 'uniform' || divisible.length < 2) return;
    const batch = await data.batch(0);
    try {
      await calibrateCELoRA(model, () => loss(batch, modelRunner(false)));
    } finally {
      disposeBatch(batch);
    }
  }

  /** @returns Whether the run goes on from a checkpoint. */
  private async resume(): Promise<boolean> {
    const {model, checkpoints, budget = 'calibrated'} = this.options;
    if (!this.checkpoints) return false;
    const state = await this.checkpoints.latest().catch((error: unknown) => {
      // a run that begins anew writes over what is damaged
      if (checkpoints!.resume) throw error;
    });
    if (!checkpoints!.resume || !state) return false;
    const {name} = state;
    if (budget === 'calibrated') adoptBudget(model, state.manifest.layers);
    const {progress, best} = await restoreState(name, model, this.trainer.optimizer, state);
    if (best.length > 0) this.best = new Snapshot(this.trainer.variables, best);
    tf.dispose(best);
    this.progress = progress;
    this.saved = {step: progress.step, name};
    this.emit({type: 'resume', step: progress.step, name, losses: [...progress.losses]});
    return true;
  }

  /** Frees everything; where the weights are no numbers any more, the model gets its last good ones. */
  async end(error?: unknown): Promise<void> {
    await this.reading.catch(() => {});
    if (error instanceof NonFiniteLossError) this.trainer.rollBack();
    this.best?.dispose();
    this.trainer.dispose();
  }
}

/**
 * Fine-tunes a model: AdamW with clipping and a schedule, accumulation, evaluations, checkpoints. It reads each loss one
 * step late, so that the device never waits. `installGradientFixes` and `installEarlyFreeing` are in force meanwhile, and on
 * WebGPU the memory that loading the model took is given back first (`releaseFreeBuffers`).
 *
 * A run that is resumed has, on the same backend, the losses of one that was never interrupted, bit for bit: saved are the
 * trainable weights (and statistics of BatchNormalization), the optimizer, the position in schedule and data, the random
 * numbers of `loraDropout`, of row sampling and of tfjs's Dropout, the selected columns, and the best weights. Randomness of
 * other layers is not, nor is what `registerCELoRAGradients` selects.
 * @returns Losses, and why the run ended; the model has the best weights, or the last.
 * @throws Error for a bad option, and for a model in which nothing is trainable.
 * @throws NonFiniteLossError as soon as a loss is known to be no number; the model has the last weights with a loss then,
 *   and the store the last checkpoints.
 * @throws FileError for a checkpoint of another model or with other options of CE-LoRA, and if none is whole.
 */
export async function fineTune<B extends object>(options: FineTuneOptions<B>): Promise<FineTuneResult> {
  checkFineTune(options);
  if (trainableVariables(options.model).length === 0) {
    throw new Error(`fineTune: nothing in model ${options.model.name} is trainable`);
  }
  releaseFreeBuffers();
  const run = new Run(options);
  const installed = [installGradientFixes(), installEarlyFreeing()];
  let failure: unknown;
  try {
    return await run.run();
  } catch (error) {
    failure = error;
    throw error;
  } finally {
    await run.end(failure);
    for (const one of installed) one.dispose();
  }
}
