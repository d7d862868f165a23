import {spawnSync} from 'node:child_process';
import {existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {dirname, join, resolve} from 'node:path';
import {brotliDecompressSync} from 'node:zlib';

/**
 * What the package @sparticuz/chromium carries: Chromium, without a window; SwiftShader, a Vulkan device in software; the
 * libraries that Chromium misses on a bare Linux; a font. For x86-64 Linux.
 */
export type ChromiumPart = 'chromium' | 'swiftshader' | 'al2023' | 'fonts';

/** Why the package's parts cannot run here; undefined if they can. */
export function absence(): string | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'only on x86-64 Linux';
  return packageFolder() === undefined ? '@sparticuz/chromium is not installed' : undefined;
}

function packageFolder(): string | undefined {
  try {
    const main = createRequire(import.meta.url).resolve('@sparticuz/chromium');
    return resolve(dirname(main), '../..');
  } catch {
    return undefined; // left out, as on a machine with a GPU
  }
}

function unpackPart(bin: string, part: ChromiumPart, folder: string): void {
  if (part === 'chromium') {
    const program = brotliDecompressSync(readFileSync(join(bin, 'chromium.br')));
    writeFileSync(join(folder, 'chromium'), program, {mode: 0o755});
    return;
  }
  const input = brotliDecompressSync(readFileSync(join(bin, `${part}.tar.br`)));
  const {status, stderr} = spawnSync('tar', ['-x', '-C', folder], {input});
  if (status !== 0) throw new Error(`${part} of @sparticuz/chromium cannot be unpacked: ${stderr}`);
}

/**
 * The folder `name` of the package's parts, unpacked at first use, all into the one folder.
 * @throws Error where `absence` gives a reason, or a part cannot be unpacked.
 */
export function unpacked(name: string, parts: readonly ChromiumPart[]): string {
  const chromium = packageFolder();
  if (chromium === undefined) throw new Error('@sparticuz/chromium is not installed');
  const {version} = JSON.parse(readFileSync(join(chromium, 'package.json'), 'utf8'));
  const cache = resolve(chromium, '../../.cache');
  const folder = join(cache, `${name}-${version}`);
  if (existsSync(folder)) return folder;
  mkdirSync(cache, {recursive: true});
  const partial = mkdtempSync(join(cache, `${name}-`));
  for (const part of parts) unpackPart(join(chromium, 'bin'), part, partial);
  try {
    renameSync(partial, folder);
  } catch (error) {
    if (!existsSync(folder)) throw error; // another process was faster
    rmSync(partial, {recursive: true});
  }
  return folder;
}
