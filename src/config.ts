export const SCORES = ['product', 'weight', 'gradient'] as const;

/** How the columns of dy are ranked before the best `keep` of them are kept. */
export type Score = (typeof SCORES)[number];

/** Which contraction of the activation gradient is thinned out. */
export type Axis = 'columns' | 'rows';

export const BASES = ['float32', 'float16', 'bfloat16'] as const;

/** How a frozen kernel is held: at full precision, or at half. */
export type Base = (typeof BASES)[number];

/**
 * Every option of CE-LoRA. All values are flat scalars, so that a layer's config survives tfjs's JSON round trip,
 * which renames the keys of nested dictionaries.
 */
export interface CELoRAConfig {
  /**
   * Rank r of the trainable adapter, at most min(in, units); 0 = a frozen Dense without adapter whose dx is
   * approximated. Default 16, which a layer too narrow for it takes as min(in, units).
   */
  rank: number;
  /** LoRA scaling numerator: the adapter adds alpha / rank · (xA)B. Default 32. */
  alpha: number;
  /** Rank-stabilised scaling alpha / √rank (arXiv 2312.03732) instead of alpha / rank. Default false. */
  rslora: boolean;
  /** Probability of dropping an input element on the adapter's branch in training, 0 ≤ p < 1. Default 0. */
  loraDropout: number;
  /** Fraction of columns (or rows) of dy KEPT in the activation gradient, 0 < keep ≤ 1; 1 = exact. Default 0.5. */
  keep: number;
  /** Rank r₀ of the frozen factorisation W ≈ A₀B₀ (Double-LoRA) whose product stays exact; 0 = none. Default 16. */
  frozenRank: number;
  /** The columns are selected anew every so many backward passes of the layer, ≥ 1. Default 20. */
  refreshEvery: number;
  /**
   * Backward passes of the layer, counted from the first, that stay exact; or, below 1, that fraction of the steps of a
   * `fineTune`, rounded (outside of it: none). Default 0.
   */
  exactSteps: number;
  /**
   * n: every n-th backward pass of the layer is exact, from the first one on; 0 = none. All layers of a model are exact in
   * the same ones, so that a gradient is exact as a whole now and then, and columns are selected in these, where dy is exact
   * too: in the first that is due by `refreshEvery`, unless n is more than that. A layer used several times in a model
   * counts every use, and so falls out of step with the others. Default 3.
   */
  exactEvery: number;
  /**
   * Column score: 'product' = ‖dy_i‖·‖R_i‖ (the paper's), 'weight' = ‖R_i‖, 'gradient' = ‖dy_i‖, R = W − A₀B₀.
   * Default 'product'.
   */
  score: Score;
  /**
   * 'columns' keeps the best columns of dy (deterministic top-k, biased); 'rows' samples rows of dy (tokens) with
   * probability proportional to their norm and divides by it (unbiased; frozenRank, score and refreshEvery are not
   * used). Default 'columns'.
   */
  axis: Axis;
  /** Activation gradients of fewer multiply-adds (rows · in · out) than this stay exact. Default 0. */
  minSize: number;
  /**
   * How the frozen kernel is held: 'float32', or at half precision in half the memory. 'float16' has 11 significant bits and
   * numbers up to 65504; 'bfloat16' has 8 and the range of float32, and on backend 'tensorflow' this package's own ops
   * multiply in it, with float32 sums. Elsewhere kernels are decoded as they are read. Not with `trainBase`, a
   * regularizer or constraint of the kernel, or on backend 'webgl', which has no 32-bit integers. Default 'float32'.
   */
  base: Base;
  /** Seed of the adapter's initial A, of the factorisation's start, and of row sampling; an int ≥ 0. Default 0. */
  seed: number;
}

/**
 * Half of the columns, with every third pass exact: of all approximations measured that save a tenth of the multiply-adds or
 * more, that with the lowest held-out loss. At a cost of .87 it ends at 3.259 on Shakespeare and 1.935 on GSM8K, where exact
 * LoRA of a smaller batch has 3.261 and 1.922 (a Llama of 30 M parameters, 3 seeds, with `fineTune`'s calibration:
 * test/bench/results/fidelity-tensorflow-h100.json).
 */
export const DEFAULT_CONFIG: Readonly<CELoRAConfig> = Object.freeze({
  rank: 16,
  alpha: 32,
  rslora: false,
  loraDropout: 0,
  keep: 0.5,
  frozenRank: 16,
  refreshEvery: 20,
  exactSteps: 0,
  exactEvery: 3,
  score: 'product',
  axis: 'columns',
  minSize: 0,
  base: 'float32',
  seed: 0,
});

type Rule = {test: (value: unknown) => boolean; wants: string};

const number = (wants: string, test: (value: number) => boolean): Rule => ({
  wants,
  test: (value) => typeof value === 'number' && test(value),
});
const atLeast = (least: number): Rule =>
  number(`an integer ≥ ${least}`, (v) => Number.isSafeInteger(v) && v >= least);
const oneOf = (...names: string[]): Rule => ({
  wants: `one of ${names.map((name) => `'${name}'`).join(', ')}`,
  test: (value) => names.includes(value as string),
});

const RULES: Record<keyof CELoRAConfig, Rule> = {
  rank: atLeast(0),
  alpha: number('a finite number > 0', (v) => Number.isFinite(v) && v > 0),
  rslora: {wants: 'a boolean', test: (value) => typeof value === 'boolean'},
  loraDropout: number('a number with 0 ≤ loraDropout < 1', (v) => v >= 0 && v < 1),
  keep: number('a number with 0 < keep ≤ 1', (v) => v > 0 && v <= 1),
  frozenRank: atLeast(0),
  refreshEvery: atLeast(1),
  exactSteps: number(
    'an integer ≥ 0, or a fraction below 1',
    (v) => v >= 0 && (v < 1 || Number.isSafeInteger(v)),
  ),
  exactEvery: atLeast(0),
  score: oneOf(...SCORES),
  axis: oneOf('columns', 'rows'),
  minSize: number('a finite number ≥ 0', (v) => Number.isFinite(v) && v >= 0),
  base: oneOf(...BASES),
  seed: atLeast(0),
};

/** The names of the options, for callers that tell them apart from their own. */
export const CONFIG_KEYS = Object.freeze(Object.keys(RULES)) as readonly (keyof CELoRAConfig)[];

/** One value as an error message shows it: short, and strings distinguishable from numbers. */
export function show(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`;
  if (value instanceof RegExp) return String(value);
  if (typeof value === 'object' && value !== null) {
    return Array.isArray(value) ? `[${value.map(show).join(', ')}]` : value.constructor?.name || 'object';
  }
  return String(value);
}

/**
 * Fills in the defaults and checks every option.
 * @param options Options given; `undefined` means the default.
 * @param owner Who asks, for the message.
 * @throws Error naming the option, its value and what it must be; also for a name that is no option, and for options
 *   that are no object.
 */
export function resolveConfig(options: Partial<CELoRAConfig> = {}, owner = 'CE-LoRA'): CELoRAConfig {
  requireOptions(owner, options);
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  for (const [name, value] of given) {
    if (!Object.hasOwn(RULES, name)) {
      throw new Error(
        `${owner}: unknown option ${name} (${show(value)}); those of CE-LoRA are ${CONFIG_KEYS.join(', ')}`,
      );
    }
    requireOption(owner, name as keyof CELoRAConfig, value);
  }
  return {...DEFAULT_CONFIG, ...Object.fromEntries(given)};
}

/** Checks one option, or an argument that means the same. */
export function requireOption(owner: string, name: keyof CELoRAConfig, value: unknown): void {
  const {test, wants} = RULES[name];
  if (!test(value)) throw new Error(`${owner}: ${name} must be ${wants}, but is ${show(value)}`);
}

/** Checks an argument that holds options. */
export function requireOptions(owner: string, options: unknown): void {
  if (typeof options === 'object' && options !== null && !Array.isArray(options)) return;
  throw new Error(`${owner}: options must be an object, but is ${show(options)}`);
}

/** Checks a boolean argument, and returns it. */
export function requireBoolean(owner: string, name: string, value: unknown): boolean {
  if (typeof value === 'boolean') return value;
  throw new Error(`${owner}: ${name} must be a boolean, but is ${show(value)}`);
}

/** What scales the adapter: alpha / r, or alpha / √r with rsLoRA; 0 without adapter. */
export function adapterScale({rank, alpha, rslora}: Pick<CELoRAConfig, 'rank' | 'alpha' | 'rslora'>): number {
  if (rank === 0) return 0;
  return alpha / (rslora ? Math.sqrt(rank) : rank);
}

/**
 * k: how many of `out` columns are kept. Rounded to a multiple of 32 (fast on every GPU) where out ≥ 256, and to a
 * smaller power of two below, so that rounding changes keep by at most a sixteenth; at least one such multiple, at
 * most `out`.
 */
export function keptColumns(keep: number, out: number): number {
  if (keep >= 1) return out;
  let multiple = 32;
  while (multiple > 1 && out < 8 * multiple) multiple /= 2;
  const k = Math.max(1, Math.round((keep * out) / multiple)) * multiple;
  return Math.min(k, out);
}
