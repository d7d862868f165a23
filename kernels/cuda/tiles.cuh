// Products of small tiles by a warp, on tensor cores where they take TF32.
#pragma once
#include "common.cuh"

// c [16, 8] += a [16, 8] · b [8, 8], of which each lane has some numbers; with g = lane / 4 and t = lane % 4
//   a: (g, t), (g + 8, t), (g, t + 4), (g + 8, t + 4);  b: (t, g), (t + 4, g);
//   c: (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1).
// As precise as float32 but for the last bits: tensor cores take the upper 11 bits of a number, so that a factor goes in as two
// such, and the product of the lower parts, below 2⁻²² of the whole, is left out.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
__device__ inline float upperOf(float x) { return __uint_as_float(__float_as_uint(x) & 0xffffe000u); }

__device__ inline void multiplyUpper(float (&c)[4], const float (&a)[4], const float (&b)[2]) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(__float_as_uint(a[0])), "r"(__float_as_uint(a[1])), "r"(__float_as_uint(a[2])), "r"(__float_as_uint(a[3])),
        "r"(__float_as_uint(b[0])), "r"(__float_as_uint(b[1])));
}

__device__ inline void multiplyTiles(float (&c)[4], const float (&a)[4], const float (&b)[2]) {
  float upperA[4], lowerA[4], upperB[2], lowerB[2];
#pragma unroll
  for (int i = 0; i < 4; i++) lowerA[i] = a[i] - (upperA[i] = upperOf(a[i]));
#pragma unroll
  for (int i = 0; i < 2; i++) lowerB[i] = b[i] - (upperB[i] = upperOf(b[i]));
  multiplyUpper(c, lowerA, upperB);
  multiplyUpper(c, upperA, lowerB);
  multiplyUpper(c, upperA, upperB);
}

// As tensor cores take it in TF32: rounded, where they would cut it.
__device__ inline float toTf32(float x) {
  unsigned bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
  return __uint_as_float(bits);
}
#else
// Not inlined: it is long, and kernels have a hundred of them.
__device__ NOT_INLINED inline float4 multiplyOnLanes(float4 c, float4 a, float b0, float b1) {
  const int lane = threadIdx.x % 32, row = lane / 4 * 4, column = lane % 4 * 8;
#pragma unroll
  for (int t = 0; t < 4; t++) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const float upper = __shfl_sync(~0u, half ? a.z : a.x, row + t), lower = __shfl_sync(~0u, half ? a.w : a.y, row + t);
      const float b = half ? b1 : b0;
      const float first = __shfl_sync(~0u, b, column + t), second = __shfl_sync(~0u, b, column + 4 + t);
      c.x += upper * first;
      c.y += upper * second;
      c.z += lower * first;
      c.w += lower * second;
    }
  }
  return c;
}

__device__ inline void multiplyTiles(float (&c)[4], const float (&a)[4], const float (&b)[2]) {
  const float4 sums = multiplyOnLanes({c[0], c[1], c[2], c[3]}, {a[0], a[1], a[2], a[3]}, b[0], b[1]);
  c[0] = sums.x;
  c[1] = sums.y;
  c[2] = sums.z;
  c[3] = sums.w;
}

__device__ inline float toTf32(float x) { return x; }
__device__ inline void multiplyUpper(float (&c)[4], const float (&a)[4], const float (&b)[2]) { multiplyTiles(c, a, b); }
#endif

// A factor for products in TF32, or as it is.
template <bool TF32>
__device__ inline float factorOf(float x) {
  return TF32 ? toTf32(x) : x;
}
// Of such factors.
template <bool TF32>
__device__ inline void multiplyFactors(float (&c)[4], const float (&a)[4], const float (&b)[2]) {
  if constexpr (TF32) multiplyUpper(c, a, b);
  else multiplyTiles(c, a, b);
}
