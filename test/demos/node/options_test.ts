import {expect} from 'chai';
import {type Options, readOptions, USAGE} from '../../../demos/node/options.ts';
import {UserError} from '../../../demos/node/user_error.ts';
import {DEFAULT_CONFIG} from '../../../src/config.ts';

const read = (...args: string[]) => readOptions(args) as Options;

describe('readOptions', () => {
  it('has a default for everything', () => {
    expect(read()).to.deep.equal({
      task: undefined,
      model: undefined,
      data: undefined,
      backend: undefined,
      out: 'out',
      target: undefined,
      steps: undefined,
      batch: undefined,
      seq: 128,
      lr: 1e-3,
      warmup: 0.05,
      clip: 1,
      accumulate: 1,
      checkpointLayers: undefined,
      evalEvery: undefined,
      patience: undefined,
      saveEvery: 100,
      resume: false,
      template: undefined,
      completionOnly: false,
      seed: 0,
      compare: true,
      celora: DEFAULT_CONFIG,
    });
  });

  it('takes every option', () => {
    const training = [
      '--steps',
      '7',
      '--batch',
      '3',
      '--seq',
      '64',
      '--lr',
      '2e-3',
      '--seed',
      '5',
      '--no-compare',
    ];
    const celora = ['--rank', '4', '--alpha', '8', '--keep', '.25', '--frozen-rank', '0', '--refresh', '1'];
    const rest = [
      '--exact-steps',
      '2',
      '--exact-every',
      '4',
      '--base',
      'float16',
      '--axis',
      'rows',
      '--target=q_proj$',
      '--backend',
      'cpu',
      '--out',
      'there',
    ];
    const recipe = [
      ...[
        '--warmup',
        '20',
        '--clip',
        '0',
        '--accumulate',
        '4',
        '--checkpoint-layers',
        '2',
        '--save-every',
        '9',
      ],
      ...['--eval-every', '10', '--patience', '3', '--resume', '--completion-only'],
      ...['--template', '{a}\\n{b}'],
    ];
    const all = ['--model', 'm', '--data', 'd.txt', ...training, ...celora, ...rest, ...recipe];
    expect(read(...all)).to.deep.equal({
      task: undefined,
      model: 'm',
      data: 'd.txt',
      backend: 'cpu',
      out: 'there',
      target: /q_proj$/,
      steps: 7,
      batch: 3,
      seq: 64,
      lr: 2e-3,
      warmup: 20,
      clip: 0,
      accumulate: 4,
      checkpointLayers: 2,
      evalEvery: 10,
      patience: 3,
      saveEvery: 9,
      resume: true,
      template: '{a}\n{b}',
      completionOnly: true,
      seed: 5,
      compare: false,
      celora: {
        ...DEFAULT_CONFIG,
        rank: 4,
        alpha: 8,
        keep: 0.25,
        frozenRank: 0,
        refreshEvery: 1,
        exactSteps: 2,
        exactEvery: 4,
        axis: 'rows',
        base: 'float16',
        seed: 5,
      },
    });
  });

  it('takes a task instead of a model, one of a Llama with its options', () => {
    expect(read('--task', 'digits').task).to.equal('digits');
    expect(read('--task', 'moby-dick', '--checkpoint-layers', '2')).to.include({
      task: 'moby-dick',
      checkpointLayers: 2,
    });
  });

  it('has a help that names every option', () => {
    expect(readOptions(['--steps', '3', '--help'])).to.equal('help');
    const options =
      'task model data backend rank alpha keep frozen-rank refresh exact-steps exact-every axis base target steps batch seq lr seed ' +
      'warmup clip accumulate checkpoint-layers eval-every patience save-every resume template completion-only';
    for (const name of [...options.split(' '), 'out', 'no-compare']) {
      expect(USAGE).to.match(new RegExp(`^ {2}--${name} +\\S`, 'm'));
    }
  });

  const refused: [string, RegExp][] = [
    ['--kept 0.5', /^Unknown option '--kept'; see npm run demo -- --help$/],
    ['-k 0.5', /^Unknown option '-k'; /],
    ['0.5', /^Unexpected argument '0.5'; /],
    ['--keep', /^Option '--keep <value>' argument missing; /],
    ['--keep --rank 2', /^Option '--keep' argument is ambiguous; /],
    ['--no-compare=1', /^Option '--no-compare' does not take an argument; /],
    ['--task moby', /^--task must be moby-dick or digits, but is 'moby'$/],
    [
      '--task digits --model m --data d.txt',
      /^--task has a model and data of its own, but --model is given$/,
    ],
    ['--keep 0', /^--keep: keep must be a number with 0 < keep ≤ 1, but is 0$/],
    ['--keep 1.5', /^--keep: .* is 1\.5$/],
    ['--keep -1', /^--keep: .* is -1$/],
    ['--keep -.5', /^--keep: .* is -0\.5$/],
    ['--keep half', /^--keep must be a number, but is 'half'$/],
    ['--keep=', /^--keep must be a number, but is ''$/],
    ['--keep Infinity', /^--keep must be a number, but is 'Infinity'$/],
    ['--rank 0', /^--rank must be an integer ≥ 1, but is 0$/],
    ['--rank 1.5', /^--rank must be an integer ≥ 1, but is 1\.5$/],
    ['--alpha 0', /^--alpha: .* is 0$/],
    ['--frozen-rank -1', /^--frozen-rank: .* is -1$/],
    ['--refresh 0', /^--refresh: .* is 0$/],
    ['--exact-steps 1.5', /^--exact-steps: .* is 1\.5$/],
    ['--base half', /^--base: .*'float32', 'float16', 'bfloat16', but is 'half'$/],
    ['--axis diagonal', /^--axis: .*'columns', 'rows', but is 'diagonal'$/],
    ['--target (', /^--target must be a regular expression, but is '\('$/],
    ['--steps 0', /^--steps must be an integer ≥ 1, but is 0$/],
    ['--batch 0', /^--batch must be /],
    ['--seq -3', /^--seq must be an integer ≥ 1, but is -3$/],
    ['--lr 0', /^--lr must be > 0, but is 0$/],
    ['--warmup -1', /^--warmup must be ≥ 0, but is -1$/],
    ['--warmup 1.5', /^--warmup must be an integer ≥ 1, but is 1\.5$/],
    ['--clip -1', /^--clip must be ≥ 0, but is -1$/],
    ['--accumulate 0', /^--accumulate must be an integer ≥ 1, but is 0$/],
    ['--save-every 0', /^--save-every must be an integer ≥ 1, but is 0$/],
    ['--patience 2', /^--patience counts evaluations: --eval-every is missing$/],
    ['--checkpoint-layers 1', /^--checkpoint-layers is for a Llama: --model and --data are missing$/],
    ['--completion-only', /^--completion-only is for a Llama: --model and --data are missing$/],
    ['--seed -1', /^--seed: .* is -1$/],
    ['--model m', /^--model and --data go together: --data is missing$/],
    ['--data d.txt', /^--model and --data go together: --model is missing$/],
  ];
  for (const [args, message] of refused) {
    it(`refuses ${args}`, () => expect(() => read(...args.split(' '))).to.throw(UserError, message));
  }
});
