import type {Binding, Dispatch} from './dispatch.ts';
import {specialize} from './shader.ts';

export interface Pipeline {
  pipeline: GPUComputePipeline;
  layout: GPUBindGroupLayout;
}

/** Made at every pass, hence by no more than concatenation. */
function keyOf({label, specialization, outputs, inputs}: Dispatch): string {
  let key = label;
  for (const name in specialization) key += ` ${name} ${specialization[name]}`;
  for (const {type = 'f32'} of outputs) key += ` ${type}`;
  for (const {type = 'f32'} of inputs) key += ` ${type}`;
  return key;
}

/** The shader's text with its bindings and uniforms declared. */
function codeOf(dispatch: Dispatch): string {
  const {source, specialization, outputs, inputs, uniforms, floats = {}} = dispatch;
  const bindings = [...outputs, ...inputs];
  const declare = ({name, type = 'f32'}: Binding, i: number) =>
    `@group(0) @binding(${i}) var<storage, ${i < outputs.length ? 'read_write' : 'read'}> ${name}: array<${type}>;`;
  const fields = [
    ...Object.keys(uniforms).map((name) => `${name}: u32,`),
    ...Object.keys(floats).map((name) => `${name}: f32,`),
  ];
  return [
    ...bindings.map(declare),
    `struct Uniforms { ${fields.join(' ')} }`,
    `@group(0) @binding(${bindings.length}) var<uniform> u: Uniforms;`,
    specialize(typeof source === 'string' ? source : source(), specialization),
  ].join('\n');
}

/** The pipelines of one device: compiled when they are first needed, or ahead and beside each other. */
export class Pipelines {
  private readonly made = new Map<string, Pipeline>();
  private readonly underWay = new Map<string, Promise<void>>();

  constructor(private readonly device: GPUDevice) {}

  get(dispatch: Dispatch): Pipeline {
    const key = keyOf(dispatch);
    return this.made.get(key) ?? this.keep(key, this.device.createComputePipeline(this.describe(dispatch)));
  }

  /** Begins to compile; `compiled` waits for it. */
  compile(dispatch: Dispatch): void {
    const key = keyOf(dispatch);
    if (this.made.has(key) || this.underWay.has(key)) return;
    const pipeline = this.device.createComputePipelineAsync(this.describe(dispatch));
    this.underWay.set(
      key,
      pipeline.then((made) => void this.keep(key, made)),
    );
  }

  /** Waits for all that `compile` began; returns how many. */
  async compiled(): Promise<number> {
    const all = [...this.underWay.values()];
    this.underWay.clear();
    await Promise.all(all);
    return all.length;
  }

  private keep(key: string, pipeline: GPUComputePipeline): Pipeline {
    const made = {pipeline, layout: pipeline.getBindGroupLayout(0)};
    this.made.set(key, made);
    return made;
  }

  private describe(dispatch: Dispatch): GPUComputePipelineDescriptor {
    const {label} = dispatch;
    const module = this.device.createShaderModule({label, code: codeOf(dispatch)});
    return {label, layout: 'auto', compute: {module, entryPoint: 'main'}};
  }
}
