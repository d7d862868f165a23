import {parseArgs} from 'node:util';
import {UserError} from '../node/user_error.ts';

/** A number's flag: its default, what it must be, and what it is. */
type NumberFlag = [fallback: number, wants: 'count' | 'seed' | 'positive' | 'atLeast0', about: string];

/**
 * The model fills 8 MB. Merges: after 110 steps of 1024 tokens a model of hidden 128 had 3.97 bits per byte held out with
 * none, 2.63 with 766, 2.42 with 1790. Steps: nine times the training part; weights of the best evaluation stay.
 */
const NUMBERS = {
  merges: [1790, 'seed', 'tokens of the vocabulary beyond the 256 bytes, <s> and </s>'],
  hidden: [256, 'count', 'width of the model'],
  layers: [5, 'count', 'transformer blocks'],
  heads: [4, 'count', 'attention heads'],
  'kv-heads': [2, 'count', 'heads of keys and values'],
  intermediate: [640, 'count', "width of a block's gated unit"],
  steps: [3000, 'count', 'training steps'],
  batch: [32, 'count', 'sequences in a step'],
  seq: [256, 'count', 'tokens in a sequence, and the most that the model takes'],
  lr: [
    0.002,
    'positive',
    'peak learning rate; a warm-up of a fiftieth of the steps, then a cosine to a tenth',
  ],
  'weight-decay': [0.1, 'atLeast0', 'of matrices; norms do not decay'],
  'eval-every': [
    250,
    'count',
    'steps between evaluations on a part of what is held out; the best weights stay',
  ],
  'save-every': [250, 'count', 'steps between checkpoints'],
  seed: [0, 'seed', 'of the weights and of the batches'],
} as const satisfies Record<string, NumberFlag>;

const TEXTS = {
  backend: [undefined, 'webgpu, tensorflow, wasm or cpu; default: the fastest there is'],
  out: ['demos/model', 'folder for the model'],
  checkpoints: ['out/pretrain', 'folder for the states of a run under way'],
} as const;

type NumberName = keyof typeof NUMBERS;

export type PretrainOptions = {[name in NumberName]: number} & {
  backend: string | undefined;
  out: string;
  checkpoints: string;
  /** Go on from the last checkpoint. */
  resume: boolean;
};

const describe = (name: string, about: string, fallback: unknown) =>
  `  --${name.padEnd(16)}${about}${fallback === undefined ? '' : ` (${fallback})`}`;

export const USAGE = [
  'Pretrains the small Llama of demos/model from random weights on the addresses on the state of the union.',
  '',
  'npm run pretrain -- [options]',
  '',
  ...Object.entries(NUMBERS).map(([name, [fallback, , about]]) => describe(name, about, fallback)),
  ...Object.entries(TEXTS).map(([name, [fallback, about]]) => describe(name, about, fallback)),
  describe('resume', 'go on from the last checkpoint', undefined),
].join('\n');

const WANTS: Record<NumberFlag[1], [wants: string, test: (value: number) => boolean]> = {
  count: ['an integer ≥ 1', (value) => Number.isSafeInteger(value) && value >= 1],
  seed: ['an integer ≥ 0', (value) => Number.isSafeInteger(value) && value >= 0],
  positive: ['a number > 0', (value) => value > 0 && Number.isFinite(value)],
  atLeast0: ['a number ≥ 0', (value) => value >= 0 && Number.isFinite(value)],
};

/** The options of a command line; 'help' if it asks for it. @throws UserError naming the option and the value. */
export function readOptions(args: string[]): PretrainOptions | 'help' {
  const names = [...Object.keys(NUMBERS), ...Object.keys(TEXTS)];
  const texts = Object.fromEntries(names.map((name) => [name, {type: 'string' as const}]));
  let values: Record<string, string | boolean | undefined>;
  try {
    const options = {...texts, resume: {type: 'boolean'}, help: {type: 'boolean'}} as const;
    values = parseArgs({args, options}).values;
  } catch (error) {
    throw new UserError((error as Error).message.split(/\.\s/)[0]!);
  }
  if (values.help) return 'help';
  const numbers = Object.entries(NUMBERS).map(([name, [fallback, kind]]) => {
    const text = values[name];
    const value = text === undefined ? fallback : text === '' ? Number.NaN : Number(text);
    const [wants, test] = WANTS[kind];
    if (!test(value)) throw new UserError(`--${name} must be ${wants}, but is '${text}'`);
    return [name, value];
  });
  const options: PretrainOptions = {
    ...(Object.fromEntries(numbers) as {[name in NumberName]: number}),
    backend: values.backend as string | undefined,
    out: (values.out ?? TEXTS.out[0]) as string,
    checkpoints: (values.checkpoints ?? TEXTS.checkpoints[0]) as string,
    resume: values.resume === true,
  };
  if (options.hidden % (2 * options.heads) !== 0) {
    throw new UserError(`--hidden ${options.hidden} must be a multiple of twice --heads ${options.heads}`);
  }
  if (options.heads % options['kv-heads'] !== 0) {
    throw new UserError(`--heads ${options.heads} must be a multiple of --kv-heads ${options['kv-heads']}`);
  }
  return options;
}
