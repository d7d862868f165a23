import {expect} from 'chai';
import fc from 'fast-check';
import {
  adapterScale,
  type CELoRAConfig,
  CONFIG_KEYS,
  DEFAULT_CONFIG,
  keptColumns,
  resolveConfig,
} from '../src/config.ts';

/** Values that each option refuses, and values at the edge of what it takes. */
const VALUES: Record<keyof CELoRAConfig, {bad: unknown[]; good: unknown[]}> = {
  rank: {bad: [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '16', null, true], good: [0, 1, 4096]},
  alpha: {bad: [0, -1, Number.NaN, Number.POSITIVE_INFINITY, '32', null], good: [1e-9, 32]},
  rslora: {bad: ['true', 1, 0, null], good: [true, false]},
  loraDropout: {bad: [-0.1, 1, 1.5, Number.NaN, '0', null], good: [0, 0.999]},
  keep: {bad: [0, -0.5, 1.01, Number.NaN, '0.5', null, [0.5]], good: [1e-9, 1]},
  frozenRank: {bad: [-1, 0.5, Number.NaN, '16', null], good: [0, 64]},
  refreshEvery: {bad: [0, -1, 2.5, Number.NaN, Number.POSITIVE_INFINITY, '20', null], good: [1, 1000]},
  exactSteps: {bad: [-1, 1.5, Number.NaN, '0', null], good: [0, 0.5, 100]},
  exactEvery: {bad: [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, '3', null], good: [0, 1, 3]},
  score: {bad: ['Product', '', 1, null], good: ['product', 'weight', 'gradient']},
  axis: {bad: ['row', '', 0, null], good: ['columns', 'rows']},
  minSize: {bad: [-1, Number.NaN, Number.POSITIVE_INFINITY, '0', null], good: [0, 0.5, 1e12]},
  base: {bad: ['float64', 'half', '', 16, null], good: ['float32', 'float16', 'bfloat16']},
  seed: {bad: [-1, 0.5, Number.NaN, 2 ** 53, '0', null], good: [0, 2 ** 31]},
};

/** How a refused value reads in the message. */
function shown(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`;
  return Array.isArray(value) ? `[${value}]` : String(value);
}

describe('config', () => {
  it('has the documented defaults', () => {
    expect(resolveConfig()).to.deep.equal({
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
    expect(CONFIG_KEYS).to.have.members(Object.keys(VALUES));
  });

  it('takes undefined for the default and leaves the defaults themselves alone', () => {
    const options = {keep: undefined, rank: 4} as unknown as Partial<CELoRAConfig>;
    const config = resolveConfig(options);
    expect(config).to.deep.equal({...DEFAULT_CONFIG, rank: 4});
    config.keep = 0.1;
    expect(DEFAULT_CONFIG.keep).to.equal(0.5);
    expect(Object.isFrozen(DEFAULT_CONFIG)).to.equal(true);
  });

  it('survives JSON', () => {
    const config = resolveConfig({keep: 0.25, axis: 'rows', rslora: true, seed: 7});
    expect(resolveConfig(JSON.parse(JSON.stringify(config)))).to.deep.equal(config);
  });

  for (const [name, {bad, good}] of Object.entries(VALUES)) {
    it(`refuses bad values of ${name}, naming both`, () => {
      const message = new RegExp(`^the layer: ${name} must be .+, but is (.*)$`);
      for (const value of bad) {
        expect(() => resolveConfig({[name]: value} as Partial<CELoRAConfig>, 'the layer'))
          .to.throw(message)
          .with.property('message')
          .that.satisfies((text: string) => message.exec(text)?.[1] === shown(value));
      }
    });

    it(`takes ${name} = ${good.map(shown).join(', ')}`, () => {
      for (const value of good) {
        expect(resolveConfig({[name]: value} as Partial<CELoRAConfig>)).to.have.property(name, value);
      }
    });
  }

  for (const name of ['Keep', 'lora_rank', 'toString']) {
    it(`refuses the unknown option ${name}, naming it, its value and the options there are`, () => {
      const options = {[name]: 0.5} as Partial<CELoRAConfig>;
      const message = `CE-LoRA: unknown option ${name} (0.5); those of CE-LoRA are rank, alpha, rslora`;
      expect(() => resolveConfig(options)).to.throw(message);
    });
  }

  it('refuses options that are no object', () => {
    for (const [options, text] of [
      [null, 'null'],
      [[], '[]'],
      ['rank', "'rank'"],
      [4, '4'],
    ] as const) {
      expect(() => resolveConfig(options as unknown as Partial<CELoRAConfig>, 'the layer')).to.throw(
        `the layer: options must be an object, but is ${text}`,
      );
    }
  });

  it('scales the adapter by alpha / r, by alpha / √r with rsLoRA, and by 0 without adapter', () => {
    expect(adapterScale({rank: 16, alpha: 32, rslora: false})).to.equal(2);
    expect(adapterScale({rank: 16, alpha: 32, rslora: true})).to.equal(8);
    expect(adapterScale({rank: 0, alpha: 32, rslora: false})).to.equal(0);
    expect(adapterScale({rank: 0, alpha: 32, rslora: true})).to.equal(0);
  });

  describe('keptColumns', () => {
    const keep = fc.double({min: 1e-6, max: 1, noNaN: true});
    const out = fc.integer({min: 1, max: 20_000});
    const check = (property: fc.IProperty<[number, number]>) => fc.assert(property, {seed: 3, numRuns: 2000});

    it('lies between 1 and out', () =>
      check(fc.property(keep, out, (p, n) => keptColumns(p, n) >= 1 && keptColumns(p, n) <= n)));

    it('is a multiple of 32 from 256 columns on, and of a power of two ≤ out / 8 below, or all of them', () =>
      check(
        fc.property(keep, out, (p, n) => {
          const multiple = 2 ** Math.max(0, Math.min(5, Math.floor(Math.log2(n / 8))));
          return keptColumns(p, n) === n || keptColumns(p, n) % multiple === 0;
        }),
      ));

    it('differs from keep · out by at most a sixteenth of out, except that something is always kept', () =>
      check(
        fc.property(keep, out, (p, n) => {
          const k = keptColumns(p, n);
          return Math.abs(k - p * n) <= Math.max(0.5, n / 16) || (k > p * n && k <= Math.max(1, n / 8));
        }),
      ));

    it('does not fall as keep grows', () =>
      fc.assert(
        fc.property(
          keep,
          keep,
          out,
          (p, q, n) => keptColumns(Math.min(p, q), n) <= keptColumns(Math.max(p, q), n),
        ),
        {seed: 3, numRuns: 2000},
      ));

    it('is everything at keep 1, and exact where the sizes divide', () => {
      for (const n of [1, 7, 64, 257, 11_008]) expect(keptColumns(1, n)).to.equal(n);
      expect(keptColumns(0.25, 4096)).to.equal(1024);
      expect(keptColumns(0.5, 11_008)).to.equal(5504);
      expect(keptColumns(0.5, 64)).to.equal(32);
      expect(keptColumns(0.5, 10)).to.equal(5);
      expect(keptColumns(0.001, 4096)).to.equal(32);
      expect(keptColumns(0.001, 5)).to.equal(1);
    });
  });
});
