import {FileError, quote} from '../files/json.ts';
import {isFloat, readSafetensors, type TensorEntry} from '../files/safetensors.ts';

/** The files of a LoRA adapter as PEFT (Hugging Face) writes them: bytes by file name. */
export type AdapterFiles = Record<string, Uint8Array<ArrayBuffer>>;

export const CONFIG_FILE = 'adapter_config.json';
export const WEIGHTS_FILE = 'adapter_model.safetensors';
export const CARD_FILE = 'README.md';

/** Which of an adapter's two matrices: lora_A.weight [rank, in] or lora_B.weight [out, rank], as torch lays them out. */
export type Side = 'A' | 'B';

/** Where the weights of one module's adapter lie. */
export type ModuleTensors = Record<Side, {name: string; entry: TensorEntry}>;

/** PEFT's name of a tensor. @param module A module's path, which is the name of a layer here. */
export const tensorName = (module: string, side: Side): string =>
  `base_model.model.${module}.lora_${side}.weight`;

const NAME = /^base_model\.model\.(?<module>.+)\.lora_(?<side>[AB])\.weight$/s;

/** Tensors of PEFT's that have no place in a Dense layer's adapter, by their names. */
const FOREIGN: readonly [RegExp, string][] = [
  [/\.lora_embedding_[AB]$/, 'the adapter of an embedding'],
  [/\.lora_magnitude_vector(\.weight)?$/, 'the magnitudes of DoRA'],
  [/\.lora_B\.bias$/, 'a bias of lora_B'],
  [/\.bias$/, 'a trained bias'],
  [/\.lora_[^.]+\./, 'not one of plain LoRA'],
  [
    /\.base_layer\.weight$/,
    "a copy of the base's weights (PEFT leaves it out with save_embedding_layers=False)",
  ],
  [
    /^base_model\.model\..*\.weight$/,
    'the weight of a whole module, such as modules_to_save or an embedding',
  ],
];

function refuse(name: string): never {
  const [, what] = FOREIGN.find(([pattern]) => pattern.test(name)) ?? [];
  const why = what ? `${what}: that is not supported` : `no ${tensorName('<module>', 'A')} or lora_B`;
  throw new FileError(`${WEIGHTS_FILE}: tensor ${quote(name)} is ${why}`);
}

/**
 * The adapters of a weights file by their modules' paths.
 * @throws FileError for a broken file, and for a tensor that is no matrix of numbers of an adapter.
 */
export function readModules(bytes: Uint8Array): Map<string, ModuleTensors> {
  const modules = new Map<string, Partial<ModuleTensors>>();
  for (const [name, entry] of readSafetensors(WEIGHTS_FILE, bytes)) {
    const {module, side} = (NAME.exec(name)?.groups ?? refuse(name)) as {module: string; side: Side};
    if (entry.shape.length !== 2 || !isFloat(entry)) {
      const found = `${entry.dtype} of shape [${entry.shape.slice(0, 8)}]`;
      throw new FileError(
        `${WEIGHTS_FILE}: tensor ${quote(name)} is ${found}, not a matrix of F32, F16 or BF16`,
      );
    }
    modules.set(module, {...modules.get(module), [side]: {name, entry}});
  }
  if (modules.size === 0) throw new FileError(`${WEIGHTS_FILE} holds no adapter`);
  for (const [module, {A, B}] of modules) {
    if (A && B) continue;
    throw new FileError(
      `${WEIGHTS_FILE}: module ${quote(module)} has no lora_${A ? 'B' : 'A'}.weight beside its lora_${A ? 'A' : 'B'}`,
    );
  }
  return modules as Map<string, ModuleTensors>;
}

/** The values of a matrix [rows, columns] as those of its transpose, in an array of their own. */
export function transposed(values: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      result[column * rows + row] = values[row * columns + column]!;
    }
  }
  return result;
}
