import {spawnSync} from 'node:child_process';
import {existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync} from 'node:fs';
import {createRequire} from 'node:module';
import {constants} from 'node:os';
import {dirname, join, resolve} from 'node:path';
import {brotliDecompressSync} from 'node:zlib';

// not among os.constants.dlopen: the library is to stay loaded after Node has refused it
const RTLD_NODELETE = 0x1000;

/** The folder of SwiftShader's libraries, unpacked from the package of Chromium at first use; undefined without it. */
function unpacked(): string | undefined {
  const {resolve: find} = createRequire(import.meta.url);
  let main: string;
  try {
    main = find('@sparticuz/chromium');
  } catch {
    return undefined; // left out, as on a machine with a GPU
  }
  const chromium = resolve(dirname(main), '../..');
  const {version} = JSON.parse(readFileSync(join(chromium, 'package.json'), 'utf8'));
  const cache = resolve(chromium, '../../.cache');
  const folder = join(cache, `swiftshader-${version}`);
  if (existsSync(folder)) return folder;
  mkdirSync(cache, {recursive: true});
  const partial = mkdtempSync(join(cache, 'swiftshader-'));
  const input = brotliDecompressSync(readFileSync(join(chromium, 'bin/swiftshader.tar.br')));
  const {status, stderr} = spawnSync('tar', ['-x', '-C', partial], {input});
  if (status !== 0) throw new Error(`SwiftShader cannot be unpacked: ${stderr}`);
  renameSync(partial, folder);
  return folder;
}

/**
 * Offers SwiftShader, a Vulkan device in software, to the WebGPU of this process, beside the GPUs of the system, which
 * come first. Only x86-64 Linux; elsewhere, and where the user names the Vulkan drivers, nothing happens.
 */
export function offerSwiftShader(): void {
  if (process.platform !== 'linux' || process.arch !== 'x64') return;
  const folder = unpacked();
  if (folder === undefined) return;
  process.env.VK_ADD_DRIVER_FILES = join(folder, 'vk_swiftshader_icd.json');
  try {
    // WebGPU opens Vulkan's loader by name and so finds this one
    process.dlopen({exports: {}}, join(folder, 'libvulkan.so.1'), constants.dlopen.RTLD_NOW | RTLD_NODELETE);
  } catch {
    // Node loads it, and then complains that it is no addon
  }
}
