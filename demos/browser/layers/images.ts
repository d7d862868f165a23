import {FileError} from '../../../src/files/json.ts';
import type {LabelledRows} from './labelled_data.ts';

/** Size of the images that a model takes. */
export interface ImageShape {
  height: number;
  width: number;
  /** 1: grey; 3: red, green and blue. */
  channels: 1 | 3;
}

/** The red, green, blue and opacity, 0 … 255, of an image's pixels, scaled to a size. */
export type DecodeImage = (file: Blob, width: number, height: number) => Promise<Uint8ClampedArray>;

// how bright colours look, by ITU-R BT.601
const RED = 0.299;
const GREEN = 0.587;
const BLUE = 0.114;

/**
 * The images that fit a model's input: [height, width, channels], or a vector of as many numbers of a square image.
 * @throws FileError if the input is none of these.
 */
export function imageShapeOf(input: readonly number[]): ImageShape {
  const [height = 0, width = 0, channels = 0] = input;
  if (input.length === 3 && (channels === 1 || channels === 3)) return {height, width, channels};
  if (input.length === 1) {
    for (const channels of [1, 3] as const) {
      const side = Math.sqrt(height / channels);
      if (Number.isInteger(side)) return {height: side, width: side, channels};
    }
  }
  throw new FileError(
    `the model takes [${input}], which is no image: neither [height, width, 1 or 3] nor a square one's pixels`,
  );
}

/** An image in a browser, also in a worker. */
export const decodeInBrowser: DecodeImage = async (file, width, height) => {
  const bitmap = await createImageBitmap(file);
  const context = new OffscreenCanvas(width, height).getContext('2d', {willReadFrequently: true})!;
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  return context.getImageData(0, 0, width, height).data;
};

/** Pixels as a network takes them, 0 … 1. */
function numbersOf(pixels: Uint8ClampedArray, channels: 1 | 3): Float32Array {
  const count = pixels.length / 4;
  const numbers = new Float32Array(count * channels);
  for (let i = 0; i < count; i++) {
    const [red, green, blue] = [pixels[4 * i]!, pixels[4 * i + 1]!, pixels[4 * i + 2]!];
    if (channels === 3) numbers.set([red / 255, green / 255, blue / 255], 3 * i);
    else numbers[i] = (RED * red + GREEN * green + BLUE * blue) / 255;
  }
  return numbers;
}

/**
 * Reads images into rows of numbers, 0 … 1, row by row from the top, the channels of a pixel together.
 * @throws FileError naming an image that is not understood.
 */
export async function readImages(
  images: readonly {label: string; file: File}[],
  {height, width, channels}: ImageShape,
  decode: DecodeImage = decodeInBrowser,
): Promise<LabelledRows> {
  if (images.length === 0)
    throw new FileError('there are no images in folders: the name of a folder is the label');
  const size = height * width * channels;
  const features = new Float32Array(images.length * size);
  for (const [i, {file}] of images.entries()) {
    const pixels = await decode(file, width, height).catch((error: Error) => {
      throw new FileError(`${file.name} is no image that this browser reads (${error.message})`);
    });
    features.set(numbersOf(pixels, channels), i * size);
  }
  return {features, width: size, labels: images.map(({label}) => label)};
}

/** Endings of the images that browsers read. */
const IMAGE = /\.(png|jpe?g|gif|webp|avif|bmp)$/i;

/** The images among the files of a folder that was chosen; each one's label is the name of the folder it lies in. */
export function labelledImages(files: readonly File[]): {label: string; file: File}[] {
  return files
    .filter(({name}) => IMAGE.test(name))
    .map((file) => ({label: file.webkitRelativePath.split('/').at(-2) ?? '', file}));
}
