import {existsSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {expect} from 'chai';
import {
  activeAdapter,
  adapterFiles,
  adapterNames,
  deleteAdapter,
  loadAdapter,
  mergeCELoRA,
  setActiveAdapter,
  setAdapterEnabled,
} from '../../src/index.ts';
import {writeAdapter} from '../../src/node.ts';
import {describeBackends} from '../backends.ts';
import {settingsFor} from '../demos/llama/fixtures.ts';
import {describeOnHost} from '../model/models.ts';
import {baseModel, expected, expectLogits, FIXTURE, logits, ourModel, peftAdapter} from './peft.ts';

const OURS = join(FIXTURE, 'ours');
const FILES = ['adapter_config.json', 'adapter_model.safetensors'];

describeBackends('adapters that PEFT wrote', (backend) => {
  settingsFor(backend);

  it('give its logits, with unequal ranks, alphas and rsLoRA', async () => {
    const model = await baseModel();
    expectLogits(await logits(model), expected().base);
    const {layers} = loadAdapter(model, await peftAdapter('rslora'));
    expect(layers).to.have.length(14);
    expectLogits(await logits(model), expected().rslora);
    model.dispose();
  });
});

describeOnHost('adapters of PEFT', (backend) => {
  settingsFor(backend);

  it('are several on one model, whose logits are those of each, and of the base', async () => {
    const model = await baseModel();
    for (const name of ['rslora', 'plain'] as const) {
      loadAdapter(model, await peftAdapter(name), {adapter: name});
      expectLogits(await logits(model), expected()[name]);
    }
    expect([adapterNames(model), activeAdapter(model)]).to.deep.equal([['rslora', 'plain'], 'plain']);
    setActiveAdapter(model, 'rslora');
    expectLogits(await logits(model), expected().rslora);
    setAdapterEnabled(model, false);
    expectLogits(await logits(model), expected().base);
    setAdapterEnabled(model, true);
    deleteAdapter(model, 'rslora');
    expectLogits(await logits(model), expected().base);
    setActiveAdapter(model, 'plain');
    mergeCELoRA(model);
    expectLogits(await logits(model), expected().plain);
    model.dispose();
  });

  it('are written as they were read', async () => {
    for (const name of ['rslora', 'plain'] as const) {
      const model = await baseModel();
      loadAdapter(model, await peftAdapter(name));
      const again = await baseModel();
      loadAdapter(again, await adapterFiles(model));
      expect(await logits(again)).to.deep.equal(await logits(model));
      model.dispose();
      again.dispose();
    }
  });
});

/**
 * What PEFT makes of our files is known for those in fixtures/peft/ours: peft_fixture.py --check found PEFT's logits
 * within 1e-4 of logits.json. So these files are to be written, and these logits computed, ever after.
 */
describeOnHost('an adapter that PEFT has loaded', (backend) => {
  settingsFor(backend);

  it('is written to the byte, and has the logits that PEFT gave it', async () => {
    const model = await ourModel();
    const files = await adapterFiles(model, {baseModel: 'tiny-random-llama', taskType: 'CAUSAL_LM'});
    const found = await logits(model);
    if (process.env.CELORA_WRITE_OURS && !existsSync(join(OURS, 'logits.json'))) {
      await writeAdapter(OURS, Object.fromEntries(FILES.map((name) => [name, files[name]!])));
      writeFileSync(join(OURS, 'logits.json'), `[${Array.from(found, (value) => value.toFixed(6))}]\n`);
    }
    for (const name of FILES) {
      expect(readFileSync(join(OURS, name)).equals(files[name]!), name).to.equal(true);
    }
    expectLogits(found, JSON.parse(readFileSync(join(OURS, 'logits.json'), 'utf8')) as number[]);
    const again = await baseModel();
    loadAdapter(again, files);
    expect(await logits(again)).to.deep.equal(found);
    model.dispose();
    again.dispose();
  });
});
