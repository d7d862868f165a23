import {expect} from 'chai';
import {parseConfig} from '../../../demos/llama/config.ts';
import {UserError} from '../../../demos/node/user_error.ts';
import {configJson} from '../../../demos/pretrain/model.ts';
import {type PretrainOptions, readOptions, USAGE} from '../../../demos/pretrain/options.ts';

describe('options of pretraining', () => {
  const defaults = readOptions([]) as PretrainOptions;

  it('have defaults whose model takes at most 8 MB in half precision', () => {
    const {vocabSize, hiddenSize, intermediateSize, numLayers, numHeads, numKvHeads, headDim} = parseConfig(
      configJson(defaults, defaults.merges),
    );
    const attention = 2 * hiddenSize * headDim * (numHeads + numKvHeads);
    const block = attention + 3 * hiddenSize * intermediateSize + 2 * hiddenSize;
    const parameters = vocabSize * hiddenSize + numLayers * block + hiddenSize;
    // and the header of the file
    expect(2 * parameters + 10_000).to.be.below(8e6);
  });

  it('are all in the help', () => {
    expect(readOptions(['--help'])).to.equal('help');
    for (const name of Object.keys(defaults)) {
      expect(USAGE).to.match(new RegExp(`^ {2}--${name} +\\S`, 'm'));
    }
  });

  it('are taken from the command line', () => {
    const given = [
      '--steps',
      '3',
      '--lr=1e-4',
      '--weight-decay',
      '0',
      '--out',
      'x',
      '--backend=cpu',
      '--resume',
    ];
    expect(readOptions(given)).to.deep.equal({
      ...defaults,
      ...{steps: 3, lr: 1e-4, 'weight-decay': 0, out: 'x', backend: 'cpu', resume: true},
    });
  });

  for (const [args, message] of [
    ['--steps=0', "--steps must be an integer ≥ 1, but is '0'"],
    ['--merges=1.5', "--merges must be an integer ≥ 0, but is '1.5'"],
    ['--lr=', "--lr must be a number > 0, but is ''"],
    ['--weight-decay=much', "--weight-decay must be a number ≥ 0, but is 'much'"],
    ['--hidden=30 --heads=4', '--hidden 30 must be a multiple of twice --heads 4'],
    ['--heads=4 --kv-heads=3', '--heads 4 must be a multiple of --kv-heads 3'],
    ['--keep=1', "Unknown option '--keep'"],
  ] as const) {
    it(`refuses ${args}`, () => {
      expect(() => readOptions(args.split(' '))).to.throw(UserError, message);
    });
  }
});
