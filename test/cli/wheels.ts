import {createHash} from 'node:crypto';
import {zipOf} from './zip.ts';

export interface MadeWheel {
  file: string;
  bytes: Buffer;
}

export interface WheelOptions {
  /** Lines of its METADATA. */
  metadata?: string;
  platform?: string;
  /** A member whose digest in RECORD is wrong. */
  damaged?: string;
}

/** A wheel with its RECORD. */
export function wheelOf(
  name: string,
  version: string,
  files: Record<string, Buffer>,
  {metadata = '', platform = 'manylinux_2_17_x86_64.manylinux2014_x86_64', damaged = ''}: WheelOptions = {},
): MadeWheel {
  const info = `${name}-${version}.dist-info`;
  const record = Object.entries(files).map(([path, content]) => {
    const digest = createHash('sha256')
      .update(path === damaged ? 'other' : content)
      .digest('base64url');
    return `${path},sha256=${digest},${content.length}\n`;
  });
  const members = {
    ...files,
    [`${info}/METADATA`]: Buffer.from(`Name: ${name}\nVersion: ${version}\n${metadata}`),
    [`${info}/RECORD`]: Buffer.from(`${record.join('')}${info}/RECORD,,\n`),
  };
  return {file: `${name}-${version}-py3-none-${platform}.whl`, bytes: zipOf(members)};
}
