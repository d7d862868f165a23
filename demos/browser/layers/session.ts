import type {LayersModel} from '@tensorflow/tfjs-layers';
import {
  applyCELoRA,
  cosineSchedule,
  estimateCost,
  FileError,
  fineTune,
  mergeCELoRA,
  removeCELoRA,
} from '../../../src/index.ts';
import {bySettings} from '../worker/errors.ts';
import {readCsv} from './csv.ts';
import {type DecodeImage, decodeInBrowser, imageShapeOf, readImages} from './images.ts';
import {type LabelledRows, labelledData, targetsFor} from './labelled_data.ts';
import {loadModel, saveModel} from './model_files.ts';
import {objectiveFor} from './objective.ts';
import type {DataSource, DenseInfo, LayersEvent, LayersJob, LayersModelInfo} from './protocol.ts';

const both = ({forward, backward}: {forward: number; backward: number}) => forward + backward;

/** The model's Dense layers with what a row costs in each, were all of them converted. */
function denseLayers(model: LayersModel): DenseInfo[] {
  const {layers} = applyCELoRA(model);
  const costs = new Map(estimateCost(model, 1).layers.map((cost) => [cost.name, cost]));
  removeCELoRA(model);
  return layers.map(({name, inputs, units}) => {
    const {full, exactLoRA, configured} = costs.get(name)!;
    return {name, inputs, units, full: both(full), exactLoRA: both(exactLoRA), celora: both(configured)};
  });
}

/** Shape of a row of the only input, and the numbers of the only output. @throws FileError for another model. */
function shapesOf({name, inputs, outputs}: LayersModel): {input: number[]; outputs: number} {
  const [input, output] = [inputs[0]!.shape.slice(1), outputs[0]!.shape.slice(1)];
  if (inputs.length !== 1 || outputs.length !== 1 || output.length !== 1 || input.includes(null)) {
    throw new FileError(
      `${name} has inputs ${inputs.map(({shape}) => `[${shape.slice(1)}]`)} and outputs ` +
        `${outputs.map(({shape}) => `[${shape.slice(1)}]`)}; one input of known size and one output [units] can be trained here`,
    );
  }
  return {input: input as number[], outputs: output[0]!};
}

/** A layers-model that is fine-tuned by CE-LoRA. Between requests it is one of stock layers. */
export class LayersSession {
  private readonly emit: (event: LayersEvent) => void;
  private readonly decode: DecodeImage;
  private model: LayersModel | undefined;
  private training = new AbortController();

  constructor(emit: (event: LayersEvent) => void, decode: DecodeImage = decodeInBrowser) {
    this.emit = emit;
    this.decode = decode;
  }

  private get loaded(): LayersModel {
    if (!this.model) throw new FileError('no layers-model is loaded yet');
    return this.model;
  }

  async load(files: readonly File[]): Promise<void> {
    this.take(await loadModel(files));
  }

  /** Takes a model in the place of the one before. @throws FileError if it cannot be trained here; then it is disposed. */
  take(model: LayersModel): void {
    let info: LayersModelInfo;
    try {
      const layers = denseLayers(model);
      info = {name: model.name, parameters: model.countParams(), ...shapesOf(model), layers};
    } catch (error) {
      model.dispose();
      throw error;
    }
    this.model?.dispose();
    this.model = model;
    this.emit({type: 'layers-loaded', info});
  }

  private async read(source: DataSource, input: number[]): Promise<LabelledRows> {
    if (source.kind === 'images') return readImages(source.images, imageShapeOf(input), this.decode);
    const width = input.reduce((product, size) => product * size, 1);
    return readCsv(source.file.name, await source.file.text(), width);
  }

  async train({data: source, layers, settings}: LayersJob): Promise<void> {
    const model = this.loaded;
    this.training = new AbortController();
    const {steps, batch, learningRate, rank, keep, seed} = settings;
    const shapes = shapesOf(model);
    const rows = await this.read(source, shapes.input);
    const targets = targetsFor(rows.labels, shapes.outputs);
    const data = bySettings(() => labelledData(rows, targets, {...shapes, batch, seed}));
    const objective = objectiveFor(model, targets);
    const target = ({name}: {name: string}) => layers.includes(name);
    bySettings(() => applyCELoRA(model, {target, rank, keep, seed}));
    try {
      const before = await objective.fit(data.heldOut);
      const about =
        `${data.trainRows} rows, ${data.heldOutRows} held out, ` +
        (targets.classes ? `labels ${targets.classes.join(', ')}` : 'of a number');
      this.emit({type: 'layers-begun', about, before, ceiling: estimateCost(model, batch).ceiling});
      const {seconds} = await fineTune({
        model,
        data: data.train,
        loss: objective.loss,
        steps,
        learningRate: cosineSchedule(learningRate, {warmUp: 0.05, floor: 0.1}),
        signal: this.training.signal,
        onEvent: (event) => {
          if (event.type === 'step') this.emit({type: 'layers-step', step: event.step, loss: event.loss});
        },
      });
      this.emit({type: 'layers-trained', after: await objective.fit(data.heldOut), seconds});
    } catch (error) {
      removeCELoRA(model);
      throw error;
    }
    mergeCELoRA(model);
  }

  stop(): void {
    this.training.abort();
  }

  /** The model with what it learned. @returns Its files, which stock tfjs loads. */
  async save(): Promise<{name: string; files: Record<string, Uint8Array<ArrayBuffer>>}> {
    const model = this.loaded;
    return {name: model.name, files: await saveModel(model)};
  }
}
