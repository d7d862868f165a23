import {Presets, SingleBar} from 'cli-progress';

/** A progress bar on stderr; where that is no terminal, a line every few seconds. */
export function progressBar(
  title: string,
  total: number,
  unit: string,
  payload: Record<string, string> = {},
): SingleBar {
  const extra = Object.keys(payload)
    .map((key) => ` {${key}}`)
    .join('');
  const bar = new SingleBar(
    {
      format: `${title} {bar} {value}/{total} ${unit}${extra}, {eta_formatted} left`,
      stream: process.stderr,
      noTTYOutput: true,
      notTTYSchedule: 5000,
      hideCursor: true,
      clearOnComplete: false,
      etaBuffer: 20,
    },
    Presets.shades_classic,
  );
  bar.start(total, 0, payload);
  return bar;
}
