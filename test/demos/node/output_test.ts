import {mkdir, readdir, readFile, writeFile} from 'node:fs/promises';
import {expect} from 'chai';
import {type Options, readOptions} from '../../../demos/node/options.ts';
import {prepareOutput, writeRun} from '../../../demos/node/output.ts';
import {UserError} from '../../../demos/node/user_error.ts';
import {readRun, temporaryFolder} from './demo.ts';

describe('the output of the Node demo', () => {
  const path = temporaryFolder();
  const options = readOptions(['--target', '(up|down)$', '--seed', '3']) as Options;
  const info = {task: 'a & b', backend: 'cpu', device: 'this', options};

  it('goes into a folder that is made at the start', async () => {
    await prepareOutput(path('a', 'b'));
    expect(await readdir(path('a', 'b'))).to.deep.equal([]);
    await writeFile(path('a', 'b', 'run.json'), 'earlier');
    await prepareOutput(path('a', 'b'));
    expect(await readFile(path('a', 'b', 'run.json'), 'utf8')).to.equal('earlier');
  });

  it('cannot go where a file is', async () => {
    await writeFile(path('file'), '');
    for (const [out, code] of [
      [path('file'), 'EEXIST'],
      [path('file', 'below'), 'ENOTDIR'],
    ] as const) {
      const error = await prepareOutput(out).catch((reason: Error) => reason);
      expect(error).to.be.instanceOf(UserError);
      expect((error as Error).message).to.equal(`--out: cannot write to '${out}' (${code})`);
    }
  });

  it('says how the run went', async () => {
    const evaluations = [{step: 1, loss: 1.75}];
    const result = {
      loss: 1.5,
      losses: [2, 1.75],
      evaluations,
      seconds: 2,
      secondsPerStep: 2,
      tokensPerSecond: 8,
      multiplyAdds: 60,
    };
    const exact = {...result, loss: 1.25, secondsPerStep: 3, multiplyAdds: 80};
    await writeRun(path(), info, {baseLoss: 2.5, interrupted: false, celora: result, exact});
    const run = await readRun(path());
    expect(run).to.deep.include({
      task: 'a & b',
      backend: 'cpu',
      device: 'this',
      baseLoss: 2.5,
      interrupted: false,
    });
    expect(run).to.deep.include({celora: result, exact});
    expect(run.options).to.deep.include({target: '/(up|down)$/', seed: 3, celora: options.celora});
    expect(run.verdict).to.match(
      /^Lower held-out loss: exact LoRA, by 0\.2500\. Faster: CE-LoRA, 1\.50 times: .* 25 %/,
    );
  });

  it('is replaced as a whole or not at all', async () => {
    const out = path('kept');
    await mkdir(out);
    await writeRun(out, info, {baseLoss: 1, interrupted: true});
    expect(await readdir(out)).to.have.members(['loss.svg', 'run.json']);
    const earlier = await readFile(`${out}/run.json`, 'utf8');
    await mkdir(`${out}/run.json.part`); // the new one cannot be written
    const error = await writeRun(out, info, {baseLoss: 2, interrupted: true}).catch(
      (reason: Error) => reason,
    );
    expect(error).to.be.an('error');
    expect(await readFile(`${out}/run.json`, 'utf8')).to.equal(earlier);
  });
});
