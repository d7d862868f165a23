import {fromBfloat16, fromHalf, toHalf} from './half.ts';
import {FileError, isObject, parseJsonObject, quote, showJson} from './json.ts';

/** Where one tensor of a .safetensors file lies. */
export interface TensorEntry {
  file: string;
  dtype: string;
  shape: number[];
  /** Byte range in the file. */
  start: number;
  end: number;
}

/** A float32 tensor to be written. */
export interface TensorData {
  shape: number[];
  data: Float32Array;
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

/** The bytes at a file's beginning that give the length of its header. */
export const LENGTH_BYTES = 8;

/** The format's own limit; without one a hostile length would have us allocate whatever it says. */
const MAX_HEADER_BYTES = 100_000_000;

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

function parseEntry(file: string, name: string, value: unknown, dataStart: number): TensorEntry {
  const fail = (problem: string): never => {
    throw new FileError(`${file}: tensor ${quote(name)} ${problem}`);
  };
  if (!isObject(value)) return fail('has no description');
  const {dtype, shape, data_offsets: offsets} = value;
  const width = typeof dtype === 'string' && Object.hasOwn(BYTES, dtype) ? BYTES[dtype] : undefined;
  if (width === undefined) return fail(`has an unknown dtype ${showJson(dtype)}`);
  if (!Array.isArray(shape) || !shape.every(isCount)) return fail(`has a bad shape ${showJson(shape)}`);
  if (
    !Array.isArray(offsets) ||
    offsets.length !== 2 ||
    !offsets.every(isCount) ||
    offsets[0]! > offsets[1]!
  ) {
    return fail(`has bad data_offsets ${showJson(offsets)}`);
  }
  const [from, to] = offsets as [number, number];
  // A product beyond 2^53 is not exact, but then it is no file's size either.
  const bytes = shape.reduce((product, size) => product * size, width);
  if (to - from !== bytes) {
    return fail(
      `of dtype ${dtype} and shape ${showJson(shape)} needs ${bytes} bytes but data_offsets give it ${to - from}`,
    );
  }
  return {file, dtype: dtype as string, shape, start: dataStart + from, end: dataStart + to};
}

/**
 * The length of a file's header in bytes, which follows those of `start`.
 * @param file Its name, for messages.
 * @param start The file's first `LENGTH_BYTES` bytes, or what there is of them.
 * @param size The file's size in bytes.
 * @throws FileError if the file is too small for it.
 */
export function readHeaderLength(file: string, start: Uint8Array, size: number): number {
  if (size < LENGTH_BYTES) {
    throw new FileError(`${file}: ${size} bytes are too few for a safetensors file`);
  }
  const length = Number(new DataView(start.buffer, start.byteOffset, LENGTH_BYTES).getBigUint64(0, true));
  if (length > Math.min(MAX_HEADER_BYTES, size - LENGTH_BYTES)) {
    throw new FileError(
      `${file}: a header of ${length} bytes does not fit into the file of ${size} bytes ` +
        '(truncated, or not safetensors)',
    );
  }
  return length;
}

/**
 * Reads and checks a header: every tensor lies in the file of `size` bytes, none overlaps another, none has the name
 * of another.
 * @throws FileError naming the tensor and what is wrong with it.
 */
export function parseHeader(file: string, header: Uint8Array, size: number): Map<string, TensorEntry> {
  const dataStart = LENGTH_BYTES + header.length;
  const entries = new Map<string, TensorEntry>();
  for (const [name, value] of Object.entries(parseJsonObject(header, `${file}: the header`))) {
    if (name !== '__metadata__') entries.set(name, parseEntry(file, name, value, dataStart));
  }
  // The format wants the data section covered without gap or overlap.
  let end = dataStart;
  for (const [name, entry] of [...entries].sort(([, a], [, b]) => a.start - b.start || a.end - b.end)) {
    if (entry.end > size) {
      throw new FileError(
        `${file}: tensor ${quote(name)} ends at byte ${entry.end} but the file has ${size} (truncated download?)`,
      );
    }
    if (entry.start !== end) {
      throw new FileError(
        `${file}: tensor ${quote(name)} ` +
          `${entry.start < end ? 'overlaps the one before it' : 'follows a gap'} at byte ${entry.start}`,
      );
    }
    end = entry.end;
  }
  if (end !== size) throw new FileError(`${file}: ${size - end} bytes at its end belong to no tensor`);
  return entries;
}

function headerOf(file: string, bytes: Uint8Array): Uint8Array {
  const length = readHeaderLength(file, bytes, bytes.length);
  return bytes.subarray(LENGTH_BYTES, LENGTH_BYTES + length);
}

/** The tensors of a file that is in memory. @throws FileError */
export const readSafetensors = (file: string, bytes: Uint8Array): Map<string, TensorEntry> =>
  parseHeader(file, headerOf(file, bytes), bytes.length);

/** The text metadata of a file that is in memory; what is no text is left out. @throws FileError */
export function readMetadata(file: string, bytes: Uint8Array): Record<string, string> {
  const {__metadata__: metadata} = parseJsonObject(headerOf(file, bytes), `${file}: the header`);
  const entries = isObject(metadata) ? Object.entries(metadata) : [];
  return Object.fromEntries(entries.filter(([, value]) => typeof value === 'string')) as Record<
    string,
    string
  >;
}

/** True if `decodeTensor` can decode it. */
export const isFloat = ({dtype}: TensorEntry): boolean => ['F32', 'F16', 'BF16'].includes(dtype);

/**
 * Decodes the little-endian bytes of one F32, F16 or BF16 tensor as float32; F32 bytes may be shared, not copied.
 * @throws FileError for another dtype.
 */
export function decodeTensor(name: string, entry: TensorEntry, bytes: Uint8Array): Float32Array {
  const {file, dtype, start, end} = entry;
  if (!isFloat(entry)) {
    throw new FileError(`${file}: tensor ${quote(name)} has dtype ${dtype}; only F32, F16 and BF16 are read`);
  }
  const width = dtype === 'F32' ? 4 : 2;
  const aligned = bytes.byteOffset % width === 0 ? bytes : bytes.slice();
  const size = (end - start) / width;
  if (width === 4) return new Float32Array(aligned.buffer, aligned.byteOffset, size);
  const source = new Uint16Array(aligned.buffer, aligned.byteOffset, size);
  return dtype === 'F16' ? fromHalf(source) : fromBfloat16(source);
}

/**
 * Lays out float32 tensors as one .safetensors file, in the order given, with optional text metadata.
 * @param dtype What the file holds; of F16 the nearest number, infinite from 65520 on. Default F32.
 */
export function writeSafetensors(
  tensors: Record<string, TensorData>,
  metadata?: Record<string, string>,
  dtype: 'F32' | 'F16' = 'F32',
): Uint8Array<ArrayBuffer> {
  const header: [string, unknown][] = metadata ? [['__metadata__', metadata]] : [];
  const width = BYTES[dtype]!;
  let offset = 0;
  for (const [name, {shape, data}] of Object.entries(tensors)) {
    const size = shape.reduce((product, length) => product * length, 1);
    if (size !== data.length) {
      throw new Error(`tensor '${name}' of shape [${shape}] needs ${size} values, not ${data.length}`);
    }
    header.push([name, {dtype, shape, data_offsets: [offset, offset + size * width]}]);
    offset += size * width;
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  // Padded with spaces, so that the data starts at a multiple of 8.
  const headerLength = Math.ceil(json.length / 8) * 8;
  const bytes = new Uint8Array(LENGTH_BYTES + headerLength + offset);
  bytes.fill(0x20, LENGTH_BYTES + json.length, LENGTH_BYTES + headerLength);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerLength), true);
  bytes.set(json, LENGTH_BYTES);
  let at = LENGTH_BYTES + headerLength;
  for (const {data} of Object.values(tensors)) {
    const {buffer, byteOffset, byteLength} = dtype === 'F16' ? toHalf(data) : data;
    bytes.set(new Uint8Array(buffer, byteOffset, byteLength), at);
    at += byteLength;
  }
  return bytes;
}
