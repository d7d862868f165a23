import {constants} from 'node:os';
import {join} from 'node:path';
import {absence, unpacked} from './chromium_package.ts';

// not among os.constants.dlopen: the library is to stay loaded after Node has refused it
const RTLD_NODELETE = 0x1000;

/**
 * Offers SwiftShader, a Vulkan device in software, to the WebGPU of this process, beside the GPUs of the system, which
 * come first. Only x86-64 Linux; elsewhere, and where the user names the Vulkan drivers, nothing happens.
 */
export function offerSwiftShader(): void {
  if (absence() !== undefined) return;
  const folder = unpacked('swiftshader', ['swiftshader']);
  process.env.VK_ADD_DRIVER_FILES = join(folder, 'vk_swiftshader_icd.json');
  try {
    // WebGPU opens Vulkan's loader by name and so finds this one
    process.dlopen({exports: {}}, join(folder, 'libvulkan.so.1'), constants.dlopen.RTLD_NOW | RTLD_NODELETE);
  } catch {
    // Node loads it, and then complains that it is no addon
  }
}
