import {
  decodeTensor,
  LENGTH_BYTES,
  parseHeader,
  readHeaderLength,
  type TensorEntry,
} from '../../src/files/safetensors.ts';
import {isObject, type JsonObject, ModelError, type ModelFiles, readJson} from './files.ts';

/** The header of one .safetensors file. */
async function readHeader(files: ModelFiles, file: string): Promise<Map<string, TensorEntry>> {
  const size = await files.size(file);
  if (size === undefined) throw new ModelError(`${file} is missing from the model's files`);
  const start = await files.read(file, 0, Math.min(size, LENGTH_BYTES));
  const end = LENGTH_BYTES + readHeaderLength(file, start, size);
  return parseHeader(file, await files.read(file, LENGTH_BYTES, end), size);
}

function shardNames(weightMap: JsonObject, index: string): Map<string, string> {
  const shards = new Map<string, string>();
  for (const [tensor, file] of Object.entries(weightMap)) {
    // A path here could point out of the model's folder.
    if (typeof file !== 'string' || !/^[^/\\]+\.safetensors$/.test(file)) {
      throw new ModelError(
        `${index}: tensor '${tensor}' is said to be in ${JSON.stringify(file)}, not a .safetensors file`,
      );
    }
    shards.set(tensor, file);
  }
  return shards;
}

/**
 * The tensors of a checkpoint: `model.safetensors`, or the shards that `model.safetensors.index.json` lists.
 * Reads headers only.
 */
export async function readCheckpoint(files: ModelFiles): Promise<Map<string, TensorEntry>> {
  const single = 'model.safetensors';
  const index = 'model.safetensors.index.json';
  if ((await files.size(single)) !== undefined) return await readHeader(files, single);
  const json = await readJson(files, index, true);
  if (json === undefined) throw new ModelError(`neither ${single} nor ${index} is among the model's files`);
  const weightMap = json.weight_map;
  if (!isObject(weightMap)) throw new ModelError(`${index}: weight_map is missing`);
  const shards = shardNames(weightMap, index);

  const tensors = new Map<string, TensorEntry>();
  for (const file of new Set(shards.values())) {
    for (const [name, entry] of await readHeader(files, file)) {
      if (shards.get(name) !== file) {
        throw new ModelError(`${file}: tensor '${name}' is not there according to ${index}`);
      }
      tensors.set(name, entry);
    }
  }
  for (const [name, file] of shards) {
    if (!tensors.has(name)) throw new ModelError(`${file}: tensor '${name}' is missing`);
  }
  return tensors;
}

/** Reads one F32, F16 or BF16 tensor, or `count` of its rows, as float32. */
export async function readTensor(
  files: ModelFiles,
  name: string,
  entry: TensorEntry,
  rows?: {from: number; count: number},
): Promise<Float32Array> {
  const {file, start, end, shape} = entry;
  const rowBytes = (end - start) / shape[0]!;
  const part = rows
    ? {start: start + rows.from * rowBytes, end: start + (rows.from + rows.count) * rowBytes}
    : {start, end};
  return decodeTensor(name, {...entry, ...part}, await files.read(file, part.start, part.end));
}
