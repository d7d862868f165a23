import {expect} from 'chai';
import {chatRenderer} from '../../../demos/llama/chat_template.ts';
import {ModelError} from '../../../demos/llama/files.ts';
import {loadLlama} from '../../../demos/llama/load.ts';
import {chatTemplate} from '../../../src/index.ts';
import {onBackend, tinyConfig, tinyModel} from './fixtures.ts';

/** As that of many models: ChatML. */
const CHATML =
  "{{ bos_token }}{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] | trim + " +
  "'<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

const MESSAGES = [
  {role: 'user', content: ' 1 + 1? '},
  {role: 'assistant', content: '2'},
];

describe('chatRenderer', () => {
  onBackend('cpu');

  it('renders conversations by the template of tokenizer_config.json', () => {
    const settings = {chat_template: CHATML, bos_token: {content: '<s>'}, eos_token: '</s>'};
    const render = chatRenderer(settings)!;
    const asked = '<s><|im_start|>user\n1 + 1?<|im_end|>\n';
    expect(render(MESSAGES.slice(0, 1), {addGenerationPrompt: true})).to.equal(
      `${asked}<|im_start|>assistant\n`,
    );
    expect(render(MESSAGES, {addGenerationPrompt: false})).to.equal(
      `${asked}<|im_start|>assistant\n2<|im_end|>\n`,
    );
    expect(chatTemplate(render)({messages: MESSAGES})).to.deep.equal([
      {text: `${asked}<|im_start|>assistant\n`, learn: false},
      {text: '2<|im_end|>\n', learn: true},
    ]);
  });

  it('takes the default one of several, and none where there is none', () => {
    const several = [
      {name: 'tool_use', template: 'x'},
      {name: 'default', template: CHATML},
    ];
    expect(
      chatRenderer({chat_template: several, bos_token: ''})!(MESSAGES, {addGenerationPrompt: false}),
    ).to.match(/^<\|im_start\|>user/);
    for (const chat_template of [undefined, null, 5, [], [{name: 'tool_use', template: 'x'}]]) {
      expect(chatRenderer({chat_template})).to.equal(undefined);
    }
  });

  it('comes with the tokenizer of a model', async () => {
    const settings = {bos_token: '<s>', eos_token: '</s>', chat_template: CHATML};
    const {tokenizer, model} = await loadLlama(
      tinyModel(tinyConfig(), undefined, {'tokenizer_config.json': settings}),
    );
    expect(tokenizer.renderChat!(MESSAGES, {addGenerationPrompt: false})).to.match(/^<s><\|im_start\|>user/);
    model.dispose();
    const plain = await loadLlama(tinyModel());
    expect(plain.tokenizer).to.not.have.property('renderChat');
    plain.model.dispose();
  });

  it('refuses a template that it does not understand', () => {
    expect(() => chatRenderer({chat_template: '{% if %}'})).to.throw(
      ModelError,
      /^tokenizer_config\.json: chat_template is not understood \([^\n]+\)$/,
    );
  });
});
