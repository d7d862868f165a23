import {existsSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import type {Browser} from 'playwright-core';
import {absence, unpacked} from '../support/chromium_package.ts';

/**
 * What WebGPU computes on: SwiftShader, on the CPU and the same on every machine; or the GPU that the system's Vulkan
 * driver gives.
 */
export const ADAPTERS = ['swiftshader', 'gpu'] as const;
export type Adapter = (typeof ADAPTERS)[number];

const ADAPTER_FLAGS: Record<Adapter, string[]> = {
  swiftshader: ['--use-webgpu-adapter=swiftshader'],
  // a headless Chromium takes no GPU by itself
  gpu: [
    '--enable-gpu',
    '--ignore-gpu-blocklist',
    '--use-angle=vulkan',
    '--use-vulkan=native',
    '--disable-vulkan-surface',
  ],
};

/** CELORA_CHROMIUM_FLAGS: others too, where a machine's GPU takes them. */
const more = (): string[] => process.env.CELORA_CHROMIUM_FLAGS?.split(' ') ?? [];

const FLAGS = ['--no-sandbox', '--enable-unsafe-webgpu', '--enable-features=Vulkan'];

/** The package's font beside the system's, because Chromium does not run without any. */
function fontConfig(folder: string): string {
  const file = join(folder, 'fontconfig.xml');
  if (!existsSync(file)) {
    const include = '<include ignore_missing="yes">/etc/fonts/fonts.conf</include>';
    const own = `<dir>${join(folder, 'fonts')}</dir><cachedir>${join(folder, 'font-cache')}</cachedir>`;
    writeFileSync(
      file,
      `<!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>${include}${own}</fontconfig>\n`,
    );
  }
  return file;
}

/**
 * Starts a headless Chromium in which WebGPU works, without a GPU and without anything that the system must have. Whoever
 * starts it closes it.
 *
 * @throws Error that says why it cannot start here.
 */
export async function startChromium(adapter: Adapter = 'swiftshader'): Promise<Browser> {
  const why = absence();
  if (why !== undefined) throw new Error(`no Chromium: ${why}`);
  const {chromium} = await import('playwright-core');
  // Chromium looks for SwiftShader in its own folder
  const folder = unpacked('chromium', ['chromium', 'swiftshader', 'al2023', 'fonts']);
  const libraries = [join(folder, 'lib'), folder, process.env.LD_LIBRARY_PATH].filter(Boolean).join(':');
  return chromium.launch({
    executablePath: join(folder, 'chromium'),
    args: [...FLAGS, ...ADAPTER_FLAGS[adapter], ...more()],
    env: {...process.env, LD_LIBRARY_PATH: libraries, FONTCONFIG_FILE: fontConfig(folder)},
  });
}

/** The same for a test: where Chromium cannot start, the test or suite is skipped, and its title says why. */
export async function chromiumOrSkip(context: Mocha.Context): Promise<Browser> {
  try {
    return await startChromium();
  } catch (error) {
    const [reason] = (error as Error).message.split('\n');
    context.test!.title += `: ${reason}`;
    return context.skip();
  }
}
