import {installEncodingCache, installFastMatMul} from '../../src/index.ts';
import {chooseBackend} from '../../src/node.ts';
import {stateOfTheUnion} from '../data.ts';
import {progressBar} from '../node/progress.ts';
import {UserError} from '../node/user_error.ts';
import {type PretrainOptions, readOptions, USAGE} from './options.ts';
import {pretrain} from './pretrain.ts';

const say = (line: string) => console.log(line);

async function run(options: PretrainOptions): Promise<void> {
  const {backend, device} = await chooseBackend(options.backend);
  say(`backend ${backend}: ${device}`);
  if (backend === 'webgpu') {
    installFastMatMul();
    installEncodingCache();
  }
  const controller = new AbortController();
  process.once('SIGINT', () => controller.abort());
  process.once('SIGTERM', () => controller.abort());

  const bar = progressBar('pretraining', options.steps, 'steps');
  let evaluating: ReturnType<typeof progressBar> | undefined;
  let heldOut = '';
  const report = await pretrain(await stateOfTheUnion(), options, {
    device: `${device} (${backend})`,
    signal: controller.signal,
    say,
    onEvent(event) {
      if (event.type === 'eval') {
        heldOut = `, held out ${event.loss.toFixed(3)}`;
        say(`step ${event.step}: held-out loss ${event.loss.toFixed(4)}`);
      }
      if (event.type === 'step') bar.update(event.step, {info: `, loss ${event.loss.toFixed(3)}${heldOut}`});
      if (event.type === 'resume') bar.update(event.step);
    },
    onEvaluate(done, total) {
      bar.stop();
      evaluating ??= progressBar('held-out loss', total, 'batches');
      evaluating.update(done);
    },
  }).finally(() => {
    bar.stop();
    evaluating?.stop();
  });
  if (!report) {
    say(`interrupted: the state is in ${options.checkpoints}; --resume goes on from it`);
    return;
  }
  say(
    `held out: ${report.bitsPerByte.toFixed(4)} bits per byte, the byte 5-gram ${report.ngramBitsPerByte.toFixed(4)}; ` +
      `${report.seconds.toFixed(0)} s of training; ${options.out} is written`,
  );
}

try {
  const options = readOptions(process.argv.slice(2));
  if (options === 'help') say(USAGE);
  else await run(options);
  process.exit(0); // a GPU device keeps the process alive
} catch (error) {
  process.stderr.write(`error: ${(error as Error).message}\n`);
  if (process.env.DEBUG) console.error(error);
  process.exit(error instanceof UserError ? 2 : 1);
}
