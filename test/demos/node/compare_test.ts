import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {expect} from 'chai';
import {type Comparison, compare, type MethodResult, verdict} from '../../../demos/node/compare.ts';
import {type Options, readOptions} from '../../../demos/node/options.ts';
import type {Task} from '../../../demos/node/task.ts';
import type {ApplyModel} from '../../../src/index.ts';
import {onBackend} from '../llama/fixtures.ts';
import {stderrOf, temporaryFolder} from './demo.ts';

const STEPS = 5;

describe('compare', () => {
  onBackend('cpu');
  let model: tfl.LayersModel;
  let events: string[];
  /** What a test may read as the time: a batch takes 10 ms, an evaluation a second. */
  let clock = 0;
  const path = temporaryFolder();
  let runs = 0;

  beforeEach(() => {
    events = [];
    const kernelInitializer = tfl.initializers.randomNormal({seed: 1});
    const layers = [24, 16].map((units, i) =>
      tfl.layers.dense({
        units,
        kernelInitializer,
        name: `dense_${i}`,
        ...(i === 0 ? {inputShape: [16]} : {}),
      }),
    );
    model = tfl.sequential({layers});
  });
  afterEach(() => model.dispose());

  const task = (): Task => ({
    name: 'a toy',
    model,
    target: 'all-dense',
    steps: STEPS,
    unit: 'images',
    base: {},
    unitsPerBatch: 8,
    data: {
      count: 100,
      batch(index) {
        events.push(`batch ${index}`);
        clock += 10;
        return {x: tf.randomNormal([8, 16], 0, 1, 'float32', index + 1)};
      },
    },
    heldOut: {
      count: 1,
      batch() {
        events.push('held-out');
        clock += 1000;
        return {};
      },
    },
    loss: ({x}: {x?: tf.Tensor}, apply: ApplyModel) =>
      x ? tf.mean(tf.square(tf.sub(apply(model, x), 1))) : tf.scalar(1),
    async sample() {
      events.push('sample');
      return 'a sample';
    },
    dispose() {},
  });

  /** Compares on the toy; `at` is the event at which it is aborted. */
  async function run(args: string[], at?: string): Promise<Comparison> {
    const controller = new AbortController();
    let result: Comparison;
    await stderrOf(async () => {
      result = await compare(
        task(),
        readOptions(['--rank', '2', '--frozen-rank', '1', '--out', path(`${runs++}`), ...args]) as Options,
        {
          signal: controller.signal,
          say: (line) => {
            if (at !== undefined && line.includes(at)) controller.abort();
          },
          onTrained: async () => {
            events.push(`trained ${model.layers.map((layer) => layer.getClassName()).join()}`);
          },
        },
      );
    });
    return result!;
  }

  const BATCHES = Array.from({length: STEPS}, (_, step) => `batch ${step}`);
  // the columns are divided among the layers by the first batch
  const CELORA = ['batch 0', ...BATCHES, 'trained CELoRADense,CELoRADense', 'held-out', 'sample'];

  it('gives both methods the same batches, and the model back as it was', async () => {
    const weights = () => Promise.all(model.getWeights().map((weight) => weight.data()));
    const before = await weights();
    const {celora, exact} = await run([]);
    expect(events).to.deep.equal(['held-out', 'sample', ...CELORA, ...BATCHES, 'held-out']);
    expect(model.layers.map((layer) => layer.getClassName())).to.deep.equal(['Dense', 'Dense']);
    expect(await weights()).to.deep.equal(before);
    expect(exact!.losses[0]).to.equal(celora!.losses[0]);
    expect(exact!.losses).to.not.deep.equal(celora!.losses);
    const same = await run(['--keep', '1']);
    expect(same.celora!.losses).to.deep.equal(same.exact!.losses);
    expect(same.exact!.losses).to.deep.equal(exact!.losses);
  });

  it('leaves exact LoRA out where it is not wanted', async () => {
    const result = await run(['--no-compare']);
    expect(events).to.deep.equal(['held-out', 'sample', ...CELORA]);
    expect(result).to.have.all.keys('baseLoss', 'interrupted', 'celora');
  });

  it('counts exact steps as what they are: at the start, and every n-th', async () => {
    const {celora, exact} = await run(['--exact-every', '0']);
    expect(celora!.multiplyAdds).to.be.below(exact!.multiplyAdds);
    const [cheap, full] = [celora!.multiplyAdds / STEPS, exact!.multiplyAdds / STEPS];
    for (const exactSteps of [2, STEPS, 100]) {
      const some = await run(['--exact-steps', String(exactSteps), '--exact-every', '0', '--no-compare']);
      const dear = Math.min(STEPS, exactSteps);
      expect(some.celora!.multiplyAdds).to.be.closeTo(dear * full + (STEPS - dear) * cheap, 1e-6);
    }
    const third = await run(['--exact-every', '3', '--no-compare']);
    // steps 1 and 4 of 5
    expect(third.celora!.multiplyAdds).to.be.closeTo(2 * full + 3 * cheap, 1e-6);
  });

  it('counts batches, not steps, where several make a step', async () => {
    const one = await run(['--no-compare']);
    const three = await run(['--no-compare', '--accumulate', '3', '--exact-steps', '6']);
    expect(events.filter((event) => event.startsWith('batch')).length).to.equal(1 + STEPS + 1 + 3 * STEPS);
    expect(three.celora!.losses).to.have.length(STEPS);
    expect(three.celora!.multiplyAdds).to.be.within(
      3 * one.celora!.multiplyAdds,
      3.5 * one.celora!.multiplyAdds,
    );
  });

  it('goes on with both methods from their checkpoints', async () => {
    const whole = await run([]);
    const out = path('resumed');
    await run(['--out', out], 'layers adapted');
    events = [];
    const {celora, exact} = await run(['--out', out, '--resume']);
    expect(celora!.losses).to.deep.equal(whole.celora!.losses);
    expect(exact!.losses).to.deep.equal(whole.exact!.losses);
    events = [];
    const again = await run(['--out', out, '--resume']);
    expect(again.celora!.losses).to.deep.equal(whole.celora!.losses);
    expect(events).to.deep.equal(['held-out', 'sample', ...CELORA.slice(1 + STEPS), 'held-out']);
  });

  it('evaluates on the way, and stops early', async () => {
    const {celora} = await run(['--no-compare', '--eval-every', '1', '--patience', '2']);
    expect(celora!.evaluations).to.deep.equal([1, 2, 3].map((step) => ({step, loss: 1})));
    expect(celora!.loss).to.equal(1);
  });

  it('times its steps without what comes between them', async () => {
    const {now} = performance;
    performance.now = () => clock;
    try {
      const {celora} = await run(['--no-compare', '--eval-every', '1']);
      expect(celora!.secondsPerStep).to.be.closeTo(0.01, 1e-9);
      expect(celora!.seconds).to.be.above(STEPS);
    } finally {
      performance.now = now;
    }
  });

  it('trains no more once it is interrupted', async () => {
    const early = await run([], 'sample before');
    expect(early).to.deep.equal({baseLoss: 1, interrupted: true});
    expect(events).to.deep.equal(['held-out', 'sample']);
    const late = await run([], 'sample after');
    expect(late).to.include({interrupted: true}).and.to.not.have.property('exact');
    expect(late.celora!.loss).to.equal(1);
  });
});

describe('verdict', () => {
  const result = (
    loss: number | null,
    secondsPerStep: number | null,
    multiplyAdds: number,
  ): MethodResult => ({
    loss,
    losses: [2],
    evaluations: [],
    seconds: 1,
    secondsPerStep,
    tokensPerSecond: 1,
    multiplyAdds,
  });
  const about = (celora: MethodResult, exact?: MethodResult) =>
    verdict({baseLoss: 2, interrupted: false, celora, ...(exact ? {exact} : {})});

  it('says who won, whoever it is', () => {
    expect(about(result(1.5, 2, 60), result(1.25, 3, 80))).to.equal(
      'Lower held-out loss: exact LoRA, by 0.2500. Faster: CE-LoRA, 1.50 times: ' +
        '2000 ms a step instead of 3000 (mean of the second half). ' +
        'CE-LoRA left out 25 % of the multiply-adds in Dense layers.',
    );
    expect(about(result(1.25, 0.04567, 80), result(1.5, 0.04, 80))).to.equal(
      'Lower held-out loss: CE-LoRA, by 0.2500. Faster: exact LoRA, 1.14 times: ' +
        '40 ms a step instead of 45.7 (mean of the second half). ' +
        'CE-LoRA left out 0 % of the multiply-adds in Dense layers.',
    );
  });

  it('says nothing of time where there were too few steps', () => {
    expect(about(result(1.5, null, 60), result(1.25, null, 80))).to.equal(
      'Lower held-out loss: exact LoRA, by 0.2500. CE-LoRA left out 25 % of the multiply-adds in Dense layers.',
    );
  });

  it('claims nothing where one of them has no held-out loss', () => {
    for (const [celora, exact] of [
      [result(1, 1, 1), undefined],
      [result(1, 1, 1), result(null, 1, 1)],
    ] as const) {
      expect(about(celora, exact)).to.equal('No comparison was made.');
    }
  });
});
