// What the kernels have in common. Sizes and offsets are 64 bits wide.
#pragma once
#ifndef __CUDACC_RTC__
#include "cuda_on_cpu.h"
#define KERNEL inline
#define NOT_INLINED __attribute__((noinline))
#else
#define KERNEL extern "C" __global__
#define NOT_INLINED __noinline__
// of <math.h>, which NVRTC does without
#define INFINITY __int_as_float(0x7f800000)
#define NAN __int_as_float(0x7fffffff)
#endif

typedef long long Size;

// Threads of a block, where nothing else is said.
constexpr int BLOCK = 256;

__device__ inline bool isNaN(float x) { return (__float_as_uint(x) & 0x7fffffffu) > 0x7f800000u; }

// The first number of a thread that goes over many, and how far apart they are.
__device__ inline Size firstOfGrid() { return (Size)blockIdx.x * blockDim.x + threadIdx.x; }
__device__ inline Size strideOfGrid() { return (Size)gridDim.x * blockDim.x; }

// The sum over a block of whole warps, in one dimension; every thread gets it, and every thread must call it.
__device__ inline float sumOfBlock(float value) {
  __shared__ float warps[32];
  for (int lanes = 16; lanes > 0; lanes /= 2) value += __shfl_xor_sync(~0u, value, lanes);
  __syncthreads();  // what another call left has been read
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = value;
  __syncthreads();
  float sum = 0;
  for (unsigned i = 0; i < blockDim.x / 32; i++) sum += warps[i];
  return sum;
}

// As sumOfBlock; NaN is passed over.
__device__ inline float largestOfBlock(float value) {
  __shared__ float warps[32];
  for (int lanes = 16; lanes > 0; lanes /= 2) value = fmaxf(value, __shfl_xor_sync(~0u, value, lanes));
  __syncthreads();
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = value;
  __syncthreads();
  float largest = warps[0];
  for (unsigned i = 1; i < blockDim.x / 32; i++) largest = fmaxf(largest, warps[i]);
  return largest;
}

// Numbers i … i + 3 of `count`, which lie `stride` apart; 0 beyond. `aligned`: stride is 1, and four lie on 16 bytes.
__device__ inline float4 fourOf(const float* numbers, Size i, Size count, Size stride, bool aligned) {
  if (aligned && i + 4 <= count) return *(const float4*)(numbers + i);
  float4 four;
  four.x = i < count ? numbers[i * stride] : 0;
  four.y = i + 1 < count ? numbers[(i + 1) * stride] : 0;
  four.z = i + 2 < count ? numbers[(i + 2) * stride] : 0;
  four.w = i + 3 < count ? numbers[(i + 3) * stride] : 0;
  return four;
}
