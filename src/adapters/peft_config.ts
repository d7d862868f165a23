import type {AdapterConfig} from '../layers/adapter.ts';
import type {Layer} from '../model/layer_tree.ts';

export const TASK_TYPES = [
  'CAUSAL_LM',
  'SEQ_2_SEQ_LM',
  'SEQ_CLS',
  'TOKEN_CLS',
  'QUESTION_ANS',
  'FEATURE_EXTRACTION',
] as const;
export type TaskType = (typeof TASK_TYPES)[number];

/** What of PEFT's LoraConfig is written; all else has PEFT's default, which changes nothing. */
export interface PeftConfig {
  alpha_pattern: Record<string, number>;
  base_model_name_or_path: string | null;
  bias: 'none';
  fan_in_fan_out: false;
  inference_mode: true;
  init_lora_weights: true;
  lora_alpha: number;
  lora_dropout: number;
  modules_to_save: null;
  peft_type: 'LORA';
  r: number;
  rank_pattern: Record<string, number>;
  target_modules: string[];
  task_type: TaskType | null;
  use_dora: false;
  use_rslora: boolean;
}

/** One layer's adapter. */
interface Part {
  layer: string;
  config: AdapterConfig;
}

/** The value that most have; of equally many the first. */
function commonest(values: readonly number[]): number {
  const count = (one: number) => values.filter((value) => value === one).length;
  return values.reduce((best, value) => (count(value) > count(best) ? value : best));
}

/** A pattern that matches this module alone: PEFT takes it for a regular expression. */
const exactly = (layer: string): string => `^${layer.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')}`;

/** The layers whose value is not that of most, by their patterns. */
const exceptions = (
  parts: readonly Part[],
  values: readonly number[],
  most: number,
): Record<string, number> =>
  Object.fromEntries(
    parts.flatMap(({layer}, i) => (values[i] === most ? [] : [[exactly(layer), values[i]!] as const])),
  );

/** The last parts of the layers' names (`q_proj`) where they mean no layer without adapter; whole names elsewhere. */
function targetModules(parts: readonly Part[], all: readonly Layer[]): string[] {
  const adapted = new Set(parts.map(({layer}) => layer));
  const rest = all.map(({name}) => name).filter((name) => !adapted.has(name));
  const names = [...adapted].map((name) => {
    const last = name.split('.').at(-1)!;
    return rest.some((other) => other === last || other.endsWith(`.${last}`)) ? name : last;
  });
  return [...new Set(names)];
}

/** PEFT's configuration of the adapters of some layers. @param all Every layer of the model. */
export function peftConfig(
  parts: readonly Part[],
  all: readonly Layer[],
  {baseModel, taskType}: {baseModel: string | undefined; taskType: TaskType | undefined},
): PeftConfig {
  const configs = parts.map(({config}) => config);
  const rslora = configs.every((config) => config.rslora);
  const ranks = configs.map(({rank}) => rank);
  // use_rslora is one for all: alpha / √rank is (alpha √rank) / rank
  const alphas = configs.map((config) =>
    config.rslora && !rslora ? config.alpha * Math.sqrt(config.rank) : config.alpha,
  );
  const [rank, alpha] = [commonest(ranks), commonest(alphas)];
  return {
    alpha_pattern: exceptions(parts, alphas, alpha),
    base_model_name_or_path: baseModel ?? null,
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    lora_alpha: alpha,
    lora_dropout: commonest(configs.map(({loraDropout}) => loraDropout)),
    modules_to_save: null,
    peft_type: 'LORA',
    r: rank,
    rank_pattern: exceptions(parts, ranks, rank),
    target_modules: targetModules(parts, all),
    task_type: taskType ?? null,
    use_dora: false,
    use_rslora: rslora,
  };
}
