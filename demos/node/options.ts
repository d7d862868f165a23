import {parseArgs} from 'node:util';
import {type CELoRAConfig, DEFAULT_CONFIG, resolveConfig, type Target} from '../../src/index.ts';
import {UserError} from './user_error.ts';

/** What there is to do without a model and a text that were given. */
const TASKS = ['moby-dick', 'digits'] as const;

/** What the command line says; the same for every task. */
export interface Options {
  task: (typeof TASKS)[number] | undefined;
  model: string | undefined;
  data: string | undefined;
  backend: string | undefined;
  out: string;
  target: Target | undefined;
  steps: number | undefined;
  batch: number | undefined;
  seq: number;
  lr: number;
  /** Steps of warm-up; below 1, a fraction of all. */
  warmup: number;
  /** The most that the gradients' norm may be; 0 = no limit. */
  clip: number;
  accumulate: number;
  checkpointLayers: number | undefined;
  evalEvery: number | undefined;
  patience: number | undefined;
  saveEvery: number;
  resume: boolean;
  template: string | undefined;
  completionOnly: boolean;
  seed: number;
  compare: boolean;
  celora: CELoRAConfig;
}

const {rank, alpha, keep, frozenRank, refreshEvery, exactSteps, exactEvery} = DEFAULT_CONFIG;

const FLAGS = {
  task: {
    type: 'string',
    about:
      'moby-dick: the model of demos/model on that book; digits: a small network; default: the first that can be',
  },
  model: {
    type: 'string',
    about: 'folder of a Hugging Face Llama (config.json, *.safetensors, tokenizer.json), or its address',
  },
  data: {
    type: 'string',
    about: 'text to fine-tune on: .txt, or .jsonl with text, question/answer, prompt/completion or messages',
  },
  backend: {type: 'string', about: 'webgpu, tensorflow, wasm or cpu; default: the fastest there is'},
  rank: {type: 'string', about: `rank of the adapters (${rank})`},
  alpha: {type: 'string', about: `LoRA alpha; the adapter is scaled by alpha / rank (${alpha})`},
  keep: {type: 'string', about: `fraction of columns kept in the activation gradient (${keep})`},
  'frozen-rank': {
    type: 'string',
    about: `rank of the frozen factors whose product stays exact (${frozenRank})`,
  },
  refresh: {type: 'string', about: `steps between selections of the columns (${refreshEvery})`},
  'exact-steps': {
    type: 'string',
    about: `exact steps at the start; below 1, a fraction of all steps (${exactSteps})`,
  },
  'exact-every': {
    type: 'string',
    about: `n: every n-th batch has an exact gradient; 0: none (${exactEvery})`,
  },
  axis: {type: 'string', about: 'columns (top-k) or rows (sampled tokens)'},
  base: {
    type: 'string',
    about: 'how frozen weights are held: float32, or at half precision, float16 or bfloat16',
  },
  target: {type: 'string', about: 'regular expression on layer names: which get an adapter'},
  steps: {type: 'string', about: 'training steps'},
  batch: {type: 'string', about: 'sequences, or images, in a step'},
  seq: {type: 'string', about: 'tokens in a sequence (128)'},
  lr: {type: 'string', about: 'peak learning rate (0.001)'},
  warmup: {type: 'string', about: 'steps of linear warm-up; below 1, a fraction of all steps (0.05)'},
  clip: {type: 'string', about: "the most that the gradients' norm may be; 0: no limit (1)"},
  accumulate: {type: 'string', about: 'batches whose gradients are added up to one step (1)'},
  'checkpoint-layers': {
    type: 'string',
    about: 'n: compute every n-th block again in backward, to save memory; 1 saves the most',
  },
  'eval-every': {
    type: 'string',
    about: 'steps between evaluations on held-out data; the best weights are kept',
  },
  patience: {type: 'string', about: 'evaluations without a better one after which to stop'},
  'save-every': {type: 'string', about: 'steps between checkpoints, in the folder of --out (100)'},
  resume: {type: 'boolean', about: 'go on from the last checkpoint'},
  template: {type: 'string', about: "how rows of a .jsonl make a text: 'Q: {question}\\nA: {answer}'"},
  'completion-only': {
    type: 'boolean',
    about: 'learn what follows the prompts of a .jsonl only, not the prompts',
  },
  seed: {type: 'string', about: 'seed of batches and adapters (0)'},
  out: {type: 'string', about: "folder for the adapter (PEFT's files), the chart and run.json ('out')"},
  'no-compare': {type: 'boolean', about: 'do not train exact LoRA beside it'},
  help: {type: 'boolean', about: 'show this'},
} as const;

export const USAGE = [
  'Fine-tunes a model with CE-LoRA, then with exact LoRA on the same batches, and says which did better.',
  '',
  'npm run demo -- --model DIR --data FILE [options]     a Llama on your text',
  'npm run demo                                          the model of demos/model on Moby Dick, or digits',
  '',
  ...Object.entries(FLAGS).map(([name, {about}]) => `  --${name.padEnd(18)}${about}`),
].join('\n');

const CELORA_FLAGS = [
  ['rank', 'rank'],
  ['alpha', 'alpha'],
  ['keep', 'keep'],
  ['frozen-rank', 'frozenRank'],
  ['refresh', 'refreshEvery'],
  ['exact-steps', 'exactSteps'],
  ['exact-every', 'exactEvery'],
  ['axis', 'axis'],
  ['base', 'base'],
  ['seed', 'seed'],
] as const satisfies [keyof typeof FLAGS, keyof CELoRAConfig][];

const LLAMA_FLAGS = ['checkpoint-layers', 'template', 'completion-only'] as const;

type Values = Partial<Record<keyof typeof FLAGS, string | boolean>>;

/** '--keep -1' as '--keep=-1': parseArgs takes the -1 for an option of its own. */
function joinNegative(args: string[]): string[] {
  const joined: string[] = [];
  for (const arg of args) {
    const isValue = /^-\.?\d/.test(arg) && /^--[^=]+$/.test(joined.at(-1) ?? '');
    joined.push(isValue ? `${joined.pop()}=${arg}` : arg);
  }
  return joined;
}

function parse(args: string[]): Values {
  const options = Object.fromEntries(Object.entries(FLAGS).map(([name, {type}]) => [name, {type}]));
  try {
    return parseArgs({args: joinNegative(args), options, allowPositionals: false}).values as Values;
  } catch (error) {
    const message = (error as Error).message;
    // Node's hint about positional arguments does not help here
    throw new UserError(`${message.split(/\.\s/)[0]}; see npm run demo -- --help`);
  }
}

function number(values: Values, name: keyof typeof FLAGS): number | undefined {
  const text = values[name];
  if (text === undefined) return undefined;
  const value = text === '' ? Number.NaN : Number(text);
  if (!Number.isFinite(value)) throw new UserError(`--${name} must be a number, but is '${text}'`);
  return value;
}

function count(values: Values, name: keyof typeof FLAGS): number | undefined {
  const value = number(values, name);
  if (value !== undefined && !(Number.isSafeInteger(value) && value >= 1)) {
    throw new UserError(`--${name} must be an integer ≥ 1, but is ${value}`);
  }
  return value;
}

function atLeast0(values: Values, name: keyof typeof FLAGS): number | undefined {
  const value = number(values, name);
  if (value !== undefined && value < 0) throw new UserError(`--${name} must be ≥ 0, but is ${value}`);
  return value;
}

function pattern(text: string | boolean | undefined): RegExp | undefined {
  if (typeof text !== 'string') return undefined;
  try {
    return new RegExp(text);
  } catch {
    throw new UserError(`--target must be a regular expression, but is '${text}'`);
  }
}

/** CE-LoRA's own options; what is wrong is said under the flag's name. */
function celoraConfig(values: Values): CELoRAConfig {
  count(values, 'rank'); // rank 0 would leave nothing to train
  const given: Partial<Record<keyof CELoRAConfig, unknown>> = {};
  for (const [flag, option] of CELORA_FLAGS) {
    given[option] = flag === 'axis' || flag === 'base' ? values[flag] : number(values, flag);
    try {
      resolveConfig({[option]: given[option]}, `--${flag}`);
    } catch (error) {
      throw new UserError((error as Error).message);
    }
  }
  return resolveConfig(given as Partial<CELoRAConfig>);
}

function taskOf({task, model}: Values): Options['task'] {
  if (task === undefined) return undefined;
  const known = TASKS.find((name) => name === task);
  if (!known) throw new UserError(`--task must be ${TASKS.join(' or ')}, but is '${task}'`);
  if (model !== undefined)
    throw new UserError('--task has a model and data of its own, but --model is given');
  return known;
}

/** The options of a command line; 'help' if it asks for it. @throws UserError */
export function readOptions(args: string[]): Options | 'help' {
  const values = parse(args);
  if (values.help) return 'help';
  const text = (name: 'model' | 'data' | 'backend' | 'out' | 'template') =>
    values[name] as string | undefined;
  if ((values.model === undefined) !== (values.data === undefined)) {
    throw new UserError(`--model and --data go together: --${values.model ? 'data' : 'model'} is missing`);
  }
  const lr = number(values, 'lr') ?? 1e-3;
  if (lr <= 0) throw new UserError(`--lr must be > 0, but is ${lr}`);
  const warmup = atLeast0(values, 'warmup') ?? 0.05;
  if (warmup >= 1) count(values, 'warmup');
  const [evalEvery, patience] = [count(values, 'eval-every'), count(values, 'patience')];
  if (patience !== undefined && evalEvery === undefined) {
    throw new UserError('--patience counts evaluations: --eval-every is missing');
  }
  for (const name of LLAMA_FLAGS) {
    if (values[name] !== undefined && values.model === undefined && values.task !== 'moby-dick') {
      throw new UserError(`--${name} is for a Llama: --model and --data are missing`);
    }
  }
  const celora = celoraConfig(values);
  return {
    task: taskOf(values),
    model: text('model'),
    data: text('data'),
    backend: text('backend'),
    out: text('out') ?? 'out',
    target: pattern(values.target),
    steps: count(values, 'steps'),
    batch: count(values, 'batch'),
    seq: count(values, 'seq') ?? 128,
    lr,
    warmup,
    clip: atLeast0(values, 'clip') ?? 1,
    accumulate: count(values, 'accumulate') ?? 1,
    checkpointLayers: count(values, 'checkpoint-layers'),
    evalEvery,
    patience,
    saveEvery: count(values, 'save-every') ?? 100,
    resume: values.resume === true,
    template: text('template')?.replaceAll('\\n', '\n'),
    completionOnly: values['completion-only'] === true,
    seed: celora.seed,
    compare: !values['no-compare'],
    celora,
  };
}
