import {resolve} from 'node:path';
import {expect} from 'chai';
import {describeOwnOps} from '../../backends.ts';
import {run} from '../../support/command.ts';

const ROOT = resolve(import.meta.dirname, '../../..');

/** What a scene of processes_child.ts says, in a process that ends by itself and well. */
async function scene(name: string): Promise<unknown> {
  const args = ['--import', 'tsx', 'test/kernels/tensorflow/processes_child.ts', name];
  return JSON.parse((await run(process.execPath, args, ROOT)).trim().split('\n').at(-1)!);
}

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
const VALUES = [-sigmoid(-1), 0, 2 * sigmoid(1)];

function expectValues(values: unknown): void {
  expect(values).to.have.length(3);
  for (const [i, value] of (values as number[]).entries()) expect(value).to.be.closeTo(VALUES[i]!, 1e-6);
}

describeOwnOps('the ops in a process', () => {
  it('compute in several worker threads, and after these have ended', async function () {
    this.timeout(60_000);
    const results = (await scene('inWorkers')) as unknown[];
    expect(results).to.have.length(4);
    results.forEach(expectValues);
  });

  it('are registered once by two copies of the addon', async function () {
    this.timeout(60_000);
    expectValues(await scene('inCopies'));
  });

  it('give way to stock ones where there is no addon, and say so', async function () {
    this.timeout(60_000);
    const {reason, same, values} = (await scene('withoutAddon')) as Record<string, unknown>;
    expect(reason).to.match(/^there is no .*celora-nowhere.node \(npm run build:native\)$/);
    expect(same).to.equal(true);
    expectValues(values);
  });

  it('give way to stock ones where the addon does not load, and say so', async function () {
    this.timeout(60_000);
    const {reason, values} = (await scene('withBrokenAddon')) as Record<string, unknown>;
    expect(reason).to.include('file too short');
    expectValues(values);
  });

  it('ask for TensorFlow to be loaded first', async function () {
    this.timeout(60_000);
    expect(await scene('beforeTensorFlow')).to.equal('TensorFlow is not loaded');
  });
});
