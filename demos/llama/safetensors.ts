import {isObject, type JsonObject, ModelError, type ModelFiles, parseJsonObject, readJson} from './files.ts';

/** Where one tensor of a checkpoint lies. */
export interface TensorEntry {
  file: string;
  dtype: string;
  shape: number[];
  /** Byte range in the file. */
  start: number;
  end: number;
}

const BYTES: Readonly<Record<string, number>> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  U16: 2,
  I16: 2,
  F16: 2,
  BF16: 2,
  U32: 4,
  I32: 4,
  F32: 4,
  U64: 8,
  I64: 8,
  F64: 8,
};

/** The format's own limit; without one a hostile length would have us allocate whatever it says. */
const MAX_HEADER_BYTES = 100_000_000;

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

function parseEntry(file: string, name: string, value: unknown, dataStart: number): TensorEntry {
  const fail = (problem: string): never => {
    throw new ModelError(`${file}: tensor '${name}' ${problem}`);
  };
  if (!isObject(value)) return fail('has no description');
  const {dtype, shape, data_offsets: offsets} = value;
  const width = typeof dtype === 'string' && Object.hasOwn(BYTES, dtype) ? BYTES[dtype] : undefined;
  if (width === undefined) return fail(`has an unknown dtype ${JSON.stringify(dtype)}`);
  if (!Array.isArray(shape) || !shape.every(isCount)) return fail(`has a bad shape ${JSON.stringify(shape)}`);
  if (
    !Array.isArray(offsets) ||
    offsets.length !== 2 ||
    !offsets.every(isCount) ||
    offsets[0]! > offsets[1]!
  ) {
    return fail(`has bad data_offsets ${JSON.stringify(offsets)}`);
  }
  const [from, to] = offsets as [number, number];
  // A product beyond 2^53 is not exact, but then it is no file's size either.
  const bytes = shape.reduce((product, size) => product * size, width);
  if (to - from !== bytes) {
    return fail(
      `of dtype ${dtype} and shape [${shape}] needs ${bytes} bytes but data_offsets give it ${to - from}`,
    );
  }
  return {file, dtype: dtype as string, shape, start: dataStart + from, end: dataStart + to};
}

/**
 * Reads and checks the header of one .safetensors file: every tensor lies in the file, none overlaps another.
 */
async function readHeader(files: ModelFiles, file: string): Promise<Map<string, TensorEntry>> {
  const size = await files.size(file);
  if (size === undefined) throw new ModelError(`${file} is missing from the model's files`);
  if (size < 8) throw new ModelError(`${file}: ${size} bytes are too few for a safetensors file`);
  const lengthBytes = await files.read(file, 0, 8);
  const headerLength = Number(
    new DataView(lengthBytes.buffer, lengthBytes.byteOffset, 8).getBigUint64(0, true),
  );
  if (headerLength > Math.min(MAX_HEADER_BYTES, size - 8)) {
    throw new ModelError(
      `${file}: a header of ${headerLength} bytes does not fit into the file of ${size} bytes ` +
        '(truncated, or not safetensors)',
    );
  }
  const dataStart = 8 + headerLength;
  const header = parseJsonObject(await files.read(file, 8, dataStart), `${file}: the header`);
  const entries = new Map<string, TensorEntry>();
  for (const [name, value] of Object.entries(header)) {
    if (name !== '__metadata__') entries.set(name, parseEntry(file, name, value, dataStart));
  }
  // The format wants the data section covered without gap or overlap.
  let end = dataStart;
  for (const [name, entry] of [...entries].sort(([, a], [, b]) => a.start - b.start || a.end - b.end)) {
    if (entry.end > size) {
      throw new ModelError(
        `${file}: tensor '${name}' ends at byte ${entry.end} but the file has ${size} (truncated download?)`,
      );
    }
    if (entry.start !== end) {
      throw new ModelError(
        `${file}: tensor '${name}' ` +
          `${entry.start < end ? 'overlaps the one before it' : 'follows a gap'} at byte ${entry.start}`,
      );
    }
    end = entry.end;
  }
  if (end !== size) throw new ModelError(`${file}: ${size - end} bytes at its end belong to no tensor`);
  return entries;
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

/** Every half-precision number as float32, indexed by its 16 bits. */
function halfTable(): Float32Array {
  const table = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    if (exponent === 31) table[bits] = fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
    else if (exponent === 0) table[bits] = sign * fraction * 2 ** -24;
    else table[bits] = sign * (1024 + fraction) * 2 ** (exponent - 25);
  }
  return table;
}

let halves: Float32Array | undefined;

/** Decodes little-endian F32, F16 or BF16 bytes. */
function toFloat32(bytes: Uint8Array, dtype: string): Float32Array {
  const width = dtype === 'F32' ? 4 : 2;
  const aligned = bytes.byteOffset % width === 0 ? bytes : bytes.slice();
  const size = bytes.byteLength / width;
  if (width === 4) return new Float32Array(aligned.buffer, aligned.byteOffset, size);
  const source = new Uint16Array(aligned.buffer, aligned.byteOffset, size);
  const values = new Float32Array(size);
  if (dtype === 'F16') {
    halves ??= halfTable();
    for (let i = 0; i < size; i++) values[i] = halves[source[i]!]!;
  } else {
    const bits = new Uint32Array(values.buffer);
    for (let i = 0; i < size; i++) bits[i] = source[i]! << 16;
  }
  return values;
}

/** True if `readTensor` can decode it. */
export const isFloat = (entry: TensorEntry) => ['F32', 'F16', 'BF16'].includes(entry.dtype);

/** Reads one F32, F16 or BF16 tensor as float32. */
export async function readTensor(files: ModelFiles, name: string, entry: TensorEntry): Promise<Float32Array> {
  if (!isFloat(entry)) {
    throw new ModelError(
      `${entry.file}: tensor '${name}' has dtype ${entry.dtype}; only F32, F16 and BF16 are read`,
    );
  }
  return toFloat32(await files.read(entry.file, entry.start, entry.end), entry.dtype);
}

/** Lays out float32 tensors as one .safetensors file, in the order given, with optional text metadata. */
export function writeSafetensors(
  tensors: Record<string, {shape: number[]; data: Float32Array}>,
  metadata?: Record<string, string>,
): Uint8Array<ArrayBuffer> {
  const header: JsonObject = metadata ? {__metadata__: metadata} : {};
  let offset = 0;
  for (const [name, {shape, data}] of Object.entries(tensors)) {
    const size = shape.reduce((product, length) => product * length, 1);
    if (size !== data.length) {
      throw new Error(`tensor '${name}' of shape [${shape}] needs ${size} values, not ${data.length}`);
    }
    header[name] = {dtype: 'F32', shape, data_offsets: [offset, offset + data.byteLength]};
    offset += data.byteLength;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  // Padded with spaces, so that the data starts at a multiple of 8.
  const headerLength = Math.ceil(json.length / 8) * 8;
  const bytes = new Uint8Array(8 + headerLength + offset).fill(0x20, 8 + json.length, 8 + headerLength);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerLength), true);
  bytes.set(json, 8);
  let at = 8 + headerLength;
  for (const {data} of Object.values(tensors)) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return bytes;
}
