import type {WebGPUBackend} from './backend.ts';
import type {Dispatch} from './dispatch.ts';

/** At least so many workgroups in two dimensions, since one has a limit: number x + y · (those along x). */
export function grid({device}: WebGPUBackend, count: number, z = 1): Dispatch['workgroups'] {
  const y = Math.ceil(count / device.limits.maxComputeWorkgroupsPerDimension);
  return [Math.ceil(count / y), y, z];
}

/** How a buffer whose rows have this length is bound. */
export function rowsOf(length: number): {vec4: boolean; width: number; type: 'vec4f' | 'f32'} {
  const vec4 = length % 4 === 0;
  return {vec4, width: vec4 ? length / 4 : length, type: vec4 ? 'vec4f' : 'f32'};
}
