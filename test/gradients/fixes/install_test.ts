import {fileURLToPath} from 'node:url';
import {expect} from 'chai';
import {sharedInstall} from '../../../src/gradients/shared_install.ts';
import {runNode} from '../../support/command.ts';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

describe('installers', () => {
  it('give the very objects of stock tfjs back, whoever holds what, and train as stock tfjs does', async () => {
    const output = await runNode('test/gradients/fixes/lifetime.ts', ROOT);
    expect(JSON.parse(output.trim().split('\n').at(-1)!)).to.deep.equal({
      import: 'stock',
      'two fixes': 'changed',
      losses: 'the same',
      'one of two disposed, twice': 'unchanged',
      'both disposed': 'stock',
      'early freeing': 'changed',
      freeingLosses: 'the same',
      'fixes after early freeing': 'changed',
      'disposed in the order of installation': 'stock',
      hook: 'changed',
      'hook disposed': 'stock',
      'layer made': 'stock',
      'layer built': 'changed',
      'layer disposed': 'stock',
      'before mergeCELoRA': 'changed',
      'after mergeCELoRA': 'stock',
      'before removeCELoRA': 'changed',
      'after removeCELoRA': 'stock',
    });
  });

  it('install once for all, and restore after the last', () => {
    const calls: string[] = [];
    const install = sharedInstall(() => {
      calls.push('install');
      return () => calls.push('restore');
    });
    const [a, b] = [install(), install()];
    a.dispose();
    a.dispose();
    expect(calls).to.deep.equal(['install']);
    b.dispose();
    expect(calls).to.deep.equal(['install', 'restore']);
    install().dispose();
    expect(calls).to.deep.equal(['install', 'restore', 'install', 'restore']);
  });

  it('hold nothing when installing fails', () => {
    let fails = true;
    const install = sharedInstall(() => {
      if (fails) throw new Error('no');
      return () => {};
    });
    expect(install).to.throw('no');
    fails = false;
    install().dispose();
  });
});
