import {createServer} from 'node:http';
import type {AddressInfo} from 'node:net';
import {expect} from 'chai';
import type {Browser, Page} from 'playwright-core';
import {chromiumOrSkip} from './chromium.ts';

/** Doubles four numbers on the GPU, on a page or in a worker. */
const DOUBLE = `(async () => {
  const adapter = await navigator.gpu.requestAdapter();
  const device = await adapter.requestDevice();
  const code = '@group(0) @binding(0) var<storage, read_write> x: array<f32>; ' +
    '@compute @workgroup_size(4) fn main(@builtin(local_invocation_index) i: u32) { x[i] = 2 * x[i]; }';
  const module = device.createShaderModule({code});
  const pipeline = device.createComputePipeline({layout: 'auto', compute: {module}});
  const {STORAGE, COPY_SRC, COPY_DST, MAP_READ} = GPUBufferUsage;
  const buffer = device.createBuffer({size: 16, usage: STORAGE | COPY_SRC | COPY_DST});
  const result = device.createBuffer({size: 16, usage: MAP_READ | COPY_DST});
  device.queue.writeBuffer(buffer, 0, new Float32Array([1, 2, 3, 4]));
  const entries = [{binding: 0, resource: {buffer}}];
  const group = device.createBindGroup({layout: pipeline.getBindGroupLayout(0), entries});
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  pass.dispatchWorkgroups(1);
  pass.end();
  encoder.copyBufferToBuffer(buffer, 0, result, 0, 16);
  device.queue.submit([encoder.finish()]);
  await result.mapAsync(GPUMapMode.READ);
  return {architecture: adapter.info.architecture, values: [...new Float32Array(result.getMappedRange())]};
})()`;

describe('Chromium', () => {
  const server = createServer((_, response) => response.setHeader('content-type', 'text/html').end('<p>'));
  let browser: Browser | undefined;
  let page: Page;

  before(async function () {
    browser = await chromiumOrSkip(this);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    page = await browser.newPage();
    // WebGPU needs a secure context, which localhost is
    await page.goto(`http://localhost:${(server.address() as AddressInfo).port}`);
  });

  after(async () => {
    await browser?.close();
    server.close();
  });

  const expected = {architecture: 'swiftshader', values: [2, 4, 6, 8]};

  it('computes with WebGPU on a page', async () => {
    expect(await page.evaluate(DOUBLE)).to.deep.equal(expected);
  });

  it('computes with WebGPU in a module worker', async () => {
    const script = `onmessage = async () => postMessage(await ${DOUBLE})`;
    const values = await page.evaluate(async (source) => {
      const url = URL.createObjectURL(new Blob([source], {type: 'text/javascript'}));
      const worker = new Worker(url, {type: 'module'});
      const answer = new Promise((resolve, reject) => {
        worker.onmessage = ({data}) => resolve(data);
        worker.onerror = ({message}) => reject(new Error(message));
      });
      worker.postMessage('go');
      return answer;
    }, script);
    expect(values).to.deep.equal(expected);
  });
});
