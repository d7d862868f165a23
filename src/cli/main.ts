#!/usr/bin/env node
import {CliError} from './cli_error.ts';
import {examine} from './doctor.ts';
import {findGpu} from './gpu.ts';
import {thisHost} from './host.ts';
import {readArguments, USAGE} from './options.ts';
import {reportText} from './report.ts';
import {installTensorFlow} from './setup_tensorflow.ts';

/** As shells have it for a program ended by Ctrl-C. */
const INTERRUPTED = 130;

/** Aborted by the first Ctrl-C, after which what was begun is cleared away; a second one ends the program at once. */
function abortOnSignals(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => controller.abort());
  return controller.signal;
}

async function main(args: string[], signal: AbortSignal): Promise<number> {
  const asked = readArguments(args);
  if (asked.command === 'help') {
    console.log(USAGE);
    return 0;
  }
  const host = thisHost();
  if (asked.command === 'setup') {
    await installTensorFlow(asked.options, {
      host,
      signal,
      say: (line) => console.log(line),
      progress: process.stderr,
    });
    return 0;
  }
  const gpu = await findGpu();
  const report = await examine({...asked.options, host, ...(gpu && {gpu})});
  console.log(asked.json ? JSON.stringify(report, null, 2) : reportText(report));
  return report.ok ? 0 : 1;
}

const signal = abortOnSignals();
try {
  process.exitCode = await main(process.argv.slice(2), signal);
} catch (error) {
  if (signal.aborted) {
    process.stderr.write('\ninterrupted: nothing was changed\n');
    process.exitCode = INTERRUPTED;
  } else {
    const {message} = error as Error;
    process.stderr.write(`error: ${message}\n${error instanceof CliError ? `${error.mend}\n` : ''}`);
    if (process.env.DEBUG) console.error(error);
    process.exitCode = error instanceof CliError ? 2 : 1;
  }
}
