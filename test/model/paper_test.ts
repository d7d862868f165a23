import {expect} from 'chai';
import {applyCELoRA, paperConfig} from '../../src/index.ts';
import {tinyLM} from '../train/tiny_lm.ts';
import {celoraLayer, describeOnHost} from './models.ts';

describeOnHost('paperConfig', () => {
  it("is the authors' configuration", () => {
    const model = tinyLM({blocks: 1});
    // the tiny model's layers are narrower than their rank
    applyCELoRA(model, {...paperConfig(), rank: 4, frozenRank: 4});
    const keep = (name: string) => celoraLayer(model, `layers.0.${name}_proj`).config.keep;
    expect(['q', 'k', 'gate'].map(keep)).to.deep.equal([1, 1, 1]);
    expect(['v', 'o'].map(keep)).to.deep.equal([0.55, 0.55]);
    expect(['up', 'down'].map(keep)).to.deep.equal([0.65, 0.65]);
    expect(model.getLayer('head').getClassName()).to.equal('Dense');
    const {refreshEvery, exactSteps, score} = celoraLayer(model, 'layers.0.v_proj').config;
    expect({refreshEvery, exactSteps, score}).to.deep.equal({
      refreshEvery: 200,
      exactSteps: 200,
      score: 'product',
    });
    expect(paperConfig()).to.include({rank: 14, frozenRank: 14});
  });

  it('has the released score too', () => {
    expect(paperConfig({score: 'weight'}).score).to.equal('weight');
  });
});
