import * as tf from '@tensorflow/tfjs-core';
import {type LayersModel, loadLayersModel} from '@tensorflow/tfjs-layers';
import {isObject, type JsonObject, parseJsonObject} from '../../../src/files/json.ts';
import {FileError} from '../../../src/index.ts';

/** The one of a model's files that says what it is; the others are its weights. */
function jsonOf(files: readonly File[]): File {
  const jsons = files.filter(({name}) => /\.json$/i.test(name));
  if (jsons.length === 1) return jsons[0]!;
  throw new FileError(
    `a layers-model is one .json and the files of its weights, but there are ${jsons.length} .json among these`,
  );
}

/** The names of the files that a model's weights are in. */
function weightNames({weightsManifest}: JsonObject): string[] {
  const groups = Array.isArray(weightsManifest) ? weightsManifest : [];
  const paths = groups.flatMap((group) => (isObject(group) && Array.isArray(group.paths) ? group.paths : []));
  return paths.map((path) => String(path).split('/').at(-1)!);
}

/**
 * Loads a model from the files that tfjs saves it in.
 * @throws FileError if one is missing, or they are none of a layers-model.
 */
export async function loadModel(files: readonly File[]): Promise<LayersModel> {
  const json = jsonOf(files);
  const names = weightNames(parseJsonObject(new Uint8Array(await json.arrayBuffer()), json.name));
  const weights = names.map((name) => files.find((file) => file.name === name));
  const missing = weights.indexOf(undefined);
  // without any, tfjs would load a model of random weights
  if (missing !== -1) throw new FileError(`${names[missing]} is missing, which ${json.name} names`);
  try {
    return await loadLayersModel(tf.io.browserFiles([json, ...(weights as File[])]));
  } catch (error) {
    throw new FileError(
      `${json.name} does not load as a layers-model: ${(error as Error).message.split('\n')[0]}`,
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
