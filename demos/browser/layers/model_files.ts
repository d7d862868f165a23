import * as tf from '@tensorflow/tfjs-core';
import {type LayersModel, loadLayersModel} from '@tensorflow/tfjs-layers';
import {FileError} from '../../../src/index.ts';

/** The one of a model's files that says what it is; the others are its weights. */
function split(files: readonly File[]): [json: File, ...weights: File[]] {
  const jsons = files.filter(({name}) => /\.json$/i.test(name));
  const [json] = jsons;
  if (jsons.length !== 1 || json === undefined) {
    throw new FileError(
      `a layers-model is one .json and the files of its weights, but there are ${jsons.length} .json among these`,
    );
  }
  return [json, ...files.filter((file) => file !== json && /\.bin$/i.test(file.name))];
}

/**
 * Loads a model from the files that tfjs saves it in.
 * @throws FileError if one is missing, or they are none of a layers-model.
 */
export async function loadModel(files: readonly File[]): Promise<LayersModel> {
  const all = split(files);
  try {
    return await loadLayersModel(tf.io.browserFiles(all));
  } catch (error) {
    throw new FileError(
      `${all[0].name} does not load as a layers-model: ${(error as Error).message.split('\n')[0]}`,
    );
  }
}

const WEIGHTS = 'model.weights.bin';

/** A model's files, as `tf.loadLayersModel` takes them. */
export async function saveModel(model: LayersModel): Promise<Record<string, Uint8Array<ArrayBuffer>>> {
  const files: Record<string, Uint8Array<ArrayBuffer>> = {};
  const handler = tf.io.withSaveHandler(async ({modelTopology, weightSpecs, weightData, ...others}) => {
    const manifest = [{paths: [WEIGHTS], weights: weightSpecs}];
    const json = JSON.stringify({modelTopology, ...others, weightsManifest: manifest});
    files['model.json'] = new TextEncoder().encode(json);
    files[WEIGHTS] = new Uint8Array(tf.io.CompositeArrayBuffer.join(weightData));
    return {modelArtifactsInfo: {dateSaved: new Date(), modelTopologyType: 'JSON'}};
  });
  await model.save(handler);
  return files;
}
