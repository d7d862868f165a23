import {Presets, SingleBar} from 'cli-progress';

/** A progress bar on stderr; where that is no terminal, a line every few seconds. `info` follows the numbers. */
export function progressBar(title: string, total: number, unit: string): SingleBar {
  const bar = new SingleBar(
    {
      format: `${title} {bar} {value}/{total} ${unit}{info}, {eta_formatted} left`,
      // with loss and tokens/s it fits into 80 columns
      barsize: 16,
      stream: process.stderr,
      noTTYOutput: true,
      notTTYSchedule: 5000,
      // wide lines are cut instead, so that no setting of the terminal is to be restored when Ctrl-C ends the program
      linewrap: true,
      // on a terminal a finished bar stays; elsewhere an empty line would follow each
      clearOnComplete: !process.stderr.isTTY,
      etaBuffer: 20,
    },
    Presets.shades_classic,
  );
  bar.start(total, 0, {info: ''});
  return bar;
}
