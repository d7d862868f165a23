import type {LayerDiagnosis} from './diagnose.ts';

const ROW = 22;
const LEFT = 240;
const WIDTH = 400;
const TOP = 40;

const COLOURS = {cosine: '#2563a8', energy: '#e0913a'};

const escaped = (text: string): string => text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`);

/** Cosine and kept energy of each layer as two bars on a scale from 0 to 1, as a whole SVG file. */
export function diagnosisChart(layers: readonly LayerDiagnosis[]): string {
  const height = TOP + layers.length * ROW + 10;
  const bar = (y: number, value: number, colour: string) =>
    `<rect x="${LEFT}" y="${y}" width="${(WIDTH * Math.max(0, value)).toFixed(1)}" height="8" fill="${colour}"/>`;
  const rows = layers.map(({name, cosine, keptEnergy, saved}, i) => {
    const y = TOP + i * ROW;
    const energy = keptEnergy === undefined ? '' : bar(y + 9, keptEnergy, COLOURS.energy);
    return (
      `<text x="${LEFT - 8}" y="${y + 13}" text-anchor="end">${escaped(name)}</text>` +
      `${bar(y, cosine, COLOURS.cosine)}${energy}` +
      `<text x="${LEFT + WIDTH + 8}" y="${y + 13}">${Math.round(100 * saved)} %</text>`
    );
  });
  const legend =
    `<text x="${LEFT}" y="18" fill="${COLOURS.cosine}">cosine of dx with the exact one</text>` +
    `<text x="${LEFT + 210}" y="18" fill="${COLOURS.energy}">energy kept</text>` +
    `<text x="${LEFT + WIDTH + 8}" y="18">saved</text>`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${LEFT + WIDTH + 70}" height="${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="100%" height="100%" fill="white"/>`,
    legend,
    ...rows,
    `<path d="M${LEFT} ${TOP - 6}V${height - 8}M${LEFT + WIDTH} ${TOP - 6}V${height - 8}" stroke="#999" fill="none"/>`,
    '</svg>\n',
  ].join('\n');
}
