import {expect} from 'chai';
import {describeBackends} from '../backends.ts';
import {coldSuite} from './cold.ts';
import {jaxSuite} from './jax.ts';
import {profileSuite} from './profile.ts';
import {sizesSuite} from './sizes.ts';
import {stepSuite} from './step.ts';
import type {Suite, SuiteOptions} from './suite.ts';
import {tuneSuite} from './tune.ts';

/** What a suite returns and says. */
async function run(suite: Suite, shapes: string[], options: Partial<SuiteOptions> = {}) {
  const said: string[] = [];
  const say = (text: string) => void said.push(text);
  const others = {own: false, ahead: false, base: undefined, fidelity: {} as SuiteOptions['fidelity']};
  const results = await suite({rounds: 1, shapes, say, save: async () => {}, ...others, ...options});
  return {results, said: said.join('\n')};
}

describeBackends('benchmarks', (backend) => {
  if (backend !== 'cpu') return;

  it('sizes: products and layers, stock and ours', async () => {
    const {results, said} = await run(sizesSuite, ['4,8,12', '2,3,5']);
    expect(results).to.have.length(2);
    const [{ms}] = results as [{ms: Record<string, number>}];
    expect(Object.keys(ms)).to.include.members([
      'stock xW',
      'xW',
      'stock dx',
      'dx',
      'keep .25',
      'stock layer',
      'exact',
    ]);
    for (const time of Object.values(ms)) expect(time).to.be.above(0);
    expect(said).to.include('4,8,12');
  });

  it('cold: the first three steps, with nothing to compile here', async () => {
    const {results} = await run(coldSuite, ['8,12,1,2,1,20,1,4,tied'], {ahead: true});
    const [{steps, compiled}] = results as [{steps: object[]; compiled: {pipelines: number}}];
    expect(steps).to.have.length(3);
    expect(compiled.pipelines).to.equal(0);
  });

  it('step: the candidates whose names are asked for, stock among them', async () => {
    const fidelity = (only: string[]) => ({fidelity: {only} as SuiteOptions['fidelity']});
    const shape = ['8,12,1,2,1,20,1,4'];
    const {results} = await run(stepSuite, shape, fidelity(['stock tf.matMul, fixes, freeing', 'keep .5']));
    const [{candidates}] = results as [{candidates: {candidate: string; stepMs: number}[]}];
    expect(candidates.map(({candidate}) => candidate)).to.deep.equal([
      'stock tf.matMul, fixes, freeing',
      'stock tf.matMul, fixes, freeing, checkpoints',
      'CE-LoRA keep .5, head exact',
    ]);
    for (const {stepMs} of candidates) expect(stepMs).to.be.above(0);
    const none = await run(stepSuite, shape, fidelity(['nobody'])).catch((error: Error) => error.message);
    expect(none).to.equal("--rows: no candidate's name has nobody in it");
  });

  it('name a shape that is none, and the backend that tune is not for', async () => {
    const message = (suite: Suite, shape: string) =>
      run(suite, [shape]).then(String, (error: Error) => error.message);
    expect(await message(sizesSuite, '4,8')).to.equal("--shape must be N,in,out, but is '4,8'");
    expect(await message(tuneSuite, '4,8,8')).to.equal('tune is for webgpu, but the backend is cpu');
    expect(await message(profileSuite, '8,12,1,2,1,20,1,4')).to.equal(
      'profile is for webgpu, but the backend is cpu',
    );
    expect(await message(jaxSuite, '4,8,8')).to.equal('jax is for webgpu, but the backend is cpu');
    expect(await message(coldSuite, '8,12,1,2,1,20,1,4,untied')).to.equal(
      "--shape must be hidden,ffn,layers,heads,kvHeads,vocabulary,batch,tokens[,tied], but is '8,12,1,2,1,20,1,4,untied'",
    );
  });
});
