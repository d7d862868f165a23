// CUDA's device language for a C++ compiler: a kernel's threads run on the CPU one after the other, each as a fiber that
// waits at its barriers. So the device code is the same on both devices, and is tested where there is no GPU.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static thread_local  // the threads of a block share one thread of the CPU

struct Dim {
  unsigned x = 1, y = 1, z = 1;
};
extern thread_local Dim threadIdx, blockIdx, blockDim, gridDim;

struct alignas(16) float4 {
  float x, y, z, w;
};

void __syncthreads();
// As the hardware's, for a whole warp.
float __shfl_sync(unsigned mask, float value, int lane);
float __shfl_xor_sync(unsigned mask, float value, int lanes);
float __shfl_up_sync(unsigned mask, float value, int lanes);

// Runs `thread` for every thread of every block.
// Throws std::logic_error if some threads of a block wait at a barrier that others do not reach.
void runOnCpu(Dim grid, Dim block, const std::function<void()>& thread);

inline unsigned __float_as_uint(float x) {
  unsigned bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}
inline float __uint_as_float(unsigned bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}
inline unsigned __shfl_xor_sync(unsigned mask, unsigned value, int lanes) {
  return __float_as_uint(__shfl_xor_sync(mask, __uint_as_float(value), lanes));
}
inline unsigned __shfl_up_sync(unsigned mask, unsigned value, int lanes) {
  return __float_as_uint(__shfl_up_sync(mask, __uint_as_float(value), lanes));
}
inline float __fmul_rn(float a, float b) { return a * b; }
inline float atomicAdd(float* at, float value) { return (*at += value) - value; }
inline unsigned atomicAdd(unsigned* at, unsigned value) { return (*at += value) - value; }
template <class T>
T min(T a, T b) { return b < a ? b : a; }
template <class T>
T max(T a, T b) { return a < b ? b : a; }
