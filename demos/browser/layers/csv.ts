import {csvParseRows} from 'd3-dsv';
import {FileError} from '../../../src/index.ts';
import type {LabelledRows} from './labelled_data.ts';

const isNumber = (cell: string): boolean => cell.trim() !== '' && Number.isFinite(Number(cell));

/**
 * Reads rows of features, the last column being the label. The first row may be names of the columns.
 * @param file Its name, for messages.
 * @param width Features of a row.
 * @throws FileError naming the line and what is wrong with it.
 */
export function readCsv(file: string, text: string, width: number): LabelledRows {
  const lines = csvParseRows(text.replace(/^\ufeff/, ''));
  const hasHeader = lines[0]?.slice(0, -1).some((cell) => !isNumber(cell)) ?? false;
  const labels: string[] = [];
  const features = new Float32Array(lines.length * width);
  for (const [i, cells] of lines.entries()) {
    const isEmpty = cells.length === 1 && cells[0]!.trim() === '';
    if ((i === 0 && hasHeader) || isEmpty) continue;
    const line = `${file}, row ${i + 1}`;
    if (cells.length !== width + 1) {
      throw new FileError(
        `${line} has ${cells.length} columns; the model takes ${width} features, and the last column is the label`,
      );
    }
    for (const [column, cell] of cells.slice(0, width).entries()) {
      if (!isNumber(cell)) throw new FileError(`${line}, column ${column + 1}: '${cell}' is no number`);
      features[labels.length * width + column] = Number(cell);
    }
    labels.push(cells[width]!.trim());
  }
  if (labels.length === 0) throw new FileError(`${file} has no rows`);
  return {features: features.subarray(0, labels.length * width), width, labels};
}
