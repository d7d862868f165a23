import '@tensorflow/tfjs-layers'; // first: it registers tfjs's gradients
import {useCELoRAWebGPU} from '../../../src/webgpu.ts';
import {gradientSuite} from '../gradient.ts';
import {jaxSuite} from '../jax.ts';
import {stepSuite} from '../step.ts';
import type {Suite, SuiteOptions} from '../suite.ts';

// runs on a page, for which suite.ts in this folder opens a Chromium

/** What a page measures, each on a page of its own. */
const SUITES: Record<string, Suite> = {gradient: gradientSuite, step: stepSuite, jax: jaxSuite};

/** What the page is told. */
export type PageOptions = Omit<SuiteOptions, 'say' | 'save'>;

/** Runs a suite. @returns The device, as Chromium names it, and the suite's results. */
async function run(name: string, options: PageOptions): Promise<{device: string; results: object[]}> {
  const allowSoftware = options.adapter === 'swiftshader';
  const {vendor, architecture, description} = await useCELoRAWebGPU({allowSoftware});
  const device = [vendor, architecture, description].filter(Boolean).join(' ');
  const results = await SUITES[name]!({...options, say: (text) => console.log(text), save: async () => {}});
  return {device, results};
}

Object.assign(globalThis, {run});
