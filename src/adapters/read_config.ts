import {FileError, isObject, type JsonObject, parseJsonObject, quote, showJson} from '../files/json.ts';
import type {AdapterConfig} from '../layers/adapter.ts';
import {CONFIG_FILE} from './modules.ts';
import {firstMatch} from './pattern.ts';

/** Settings under which PEFT computes something else than s·AB beside a frozen base, and what they are. */
const REFUSED: Readonly<Record<string, string>> = {
  alora_invocation_tokens: 'activated LoRA',
  arrow_config: 'Arrow routing',
  kasa_config: 'KaSA',
  layer_replication: 'replicated layers',
  lora_bias: 'a bias of lora_B',
  megatron_config: 'layers of Megatron',
  modules_to_save: 'whole modules trained beside the adapter',
  monteclora_config: 'MonteCLoRA',
  target_parameters: 'adapters of bare parameters',
  trainable_token_indices: 'trained embeddings of tokens',
  use_bdlora: 'BD-LoRA',
  use_dora: 'DoRA',
  use_qalora: 'QALoRA',
  velora_config: 'VeLoRA',
};

/** Settings that change nothing of what a finished adapter computes, or that are read below. */
const READ = new Set(
  (
    'alpha_pattern auto_mapping base_model_name_or_path bias corda_config ensure_weight_tying eva_config ' +
    'exclude_modules fan_in_fan_out inference_mode init_lora_weights layers_pattern layers_to_transform loftq_config ' +
    'lora_alpha lora_dropout lora_ga_config megatron_core peft_type peft_version qalora_group_size r rank_pattern ' +
    'revision runtime_config target_modules task_type use_rslora'
  ).split(' '),
);

/** Ways to start an adapter that leave the base's weights as they are; others (PiSSA, OLoRA, …) change them. */
const HARMLESS_STARTS = [true, false, 'gaussian', 'eva', 'orthogonal', 'mica'];

const fail = (problem: string): never => {
  throw new FileError(`${CONFIG_FILE}: ${problem}`);
};

const unset = (value: unknown): boolean =>
  value == null ||
  value === false ||
  value === '' ||
  (typeof value === 'object' && Object.keys(value).length === 0);

function refuseUnsupported(json: JsonObject): void {
  const {peft_type: type, bias, init_lora_weights: start = true} = json;
  if (type !== 'LORA') fail(`peft_type ${showJson(type)} is not supported; only "LORA" is`);
  for (const [key, value] of Object.entries(json)) {
    if (unset(value)) continue;
    const what = Object.hasOwn(REFUSED, key) ? REFUSED[key] : undefined;
    if (what !== undefined) fail(`${key} ${showJson(value)} (${what}) is not supported`);
    // numbers and names are details of a switch, which is another setting
    const isSwitch = value === true || typeof value === 'object';
    if (!READ.has(key) && isSwitch) fail(`${quote(key)} ${showJson(value)} is not known, so not supported`);
  }
  if (bias != null && bias !== 'none') fail(`bias ${showJson(bias)} (trained biases) is not supported`);
  if (start !== null && !HARMLESS_STARTS.some((one) => one === start)) {
    fail(
      `init_lora_weights ${showJson(start)} is not supported, since it changes the base's weights; PEFT converts such ` +
        'an adapter when it saves it with path_initial_model_for_weight_conversion',
    );
  }
}

function number(
  json: JsonObject,
  key: string,
  fallback: number,
  wants: string,
  test: (n: number) => boolean,
) {
  const value = json[key] ?? fallback;
  if (typeof value === 'number' && test(value)) return value;
  return fail(`${key} must be ${wants}, not ${showJson(value)}`);
}

const isRank = (value: number) => Number.isSafeInteger(value) && value > 0;
const isAlpha = (value: number) => value > 0 && Number.isFinite(value);

/** What a pattern of PEFT's says of a module: the value of the first key that means it, or undefined. */
function pattern(json: JsonObject, key: string, wants: string, test: (n: number) => boolean) {
  const values = json[key] ?? {};
  if (!isObject(values)) return fail(`${key} must be an object, not ${showJson(values)}`);
  const where = `${CONFIG_FILE}: ${key}`;
  for (const [name, value] of Object.entries(values)) {
    if (typeof value === 'number' && test(value)) continue;
    fail(`${key} of ${quote(name)} must be ${wants}, not ${showJson(value)}`);
  }
  const find = firstMatch(Object.keys(values), where);
  return (module: string): number | undefined => {
    const name = find(module);
    return name === undefined ? undefined : (values[name] as number);
  };
}

export interface ReadConfig {
  /** The base model's name or path; undefined if it is not said. */
  baseModel: string | undefined;
  /** What is said of one module's adapter, whose weights have that rank. @throws FileError if they should not. */
  configOf(module: string, rank: number): AdapterConfig;
}

/**
 * Reads an adapter_config.json, with PEFT's defaults. Where adapters are is for the weights file to say, so that
 * target_modules and its like are not read.
 * @throws FileError for a wrong value, and naming the setting for whatever a LoRA adapter here cannot do.
 */
export function readPeftConfig(bytes: Uint8Array): ReadConfig {
  const json = parseJsonObject(bytes, CONFIG_FILE);
  refuseUnsupported(json);
  const [count, scale] = ['a whole number ≥ 1', 'a finite number > 0'];
  const rankOfMost = number(json, 'r', 8, count, isRank);
  const alphaOfMost = number(json, 'lora_alpha', 8, scale, isAlpha);
  const loraDropout = number(json, 'lora_dropout', 0, 'a number with 0 ≤ it < 1', (p) => p >= 0 && p < 1);
  const rslora = json.use_rslora ?? false;
  if (typeof rslora !== 'boolean') return fail(`use_rslora must be true or false, not ${showJson(rslora)}`);
  const rankOf = pattern(json, 'rank_pattern', count, isRank);
  const alphaOf = pattern(json, 'alpha_pattern', scale, isAlpha);
  const base = json.base_model_name_or_path;
  const configOf = (module: string, rank: number): AdapterConfig => {
    const expected = rankOf(module) ?? rankOfMost;
    if (rank !== expected) {
      fail(
        `the adapter of module ${quote(module)} should have rank ${expected}, but its weights have ${rank}`,
      );
    }
    return {rank, alpha: alphaOf(module) ?? alphaOfMost, rslora, loraDropout};
  };
  return {baseModel: typeof base === 'string' && base !== '' ? base : undefined, configOf};
}
