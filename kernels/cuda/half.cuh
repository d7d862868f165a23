// Numbers at half precision, 16 bits each: bfloat16 ones if `brain` is not 0, else float16 ones.
#pragma once
#include "common.cuh"

__device__ inline float decodeHalf(unsigned bits, int brain) {
  if (brain) return __uint_as_float(bits << 16);
  const unsigned sign = (bits & 0x8000u) << 16, exponent = bits >> 10 & 31u, fraction = bits & 1023u;
  if (exponent == 31) return __uint_as_float(sign | 0x7f800000u | fraction << 13);
  if (exponent > 0) return __uint_as_float(sign | (exponent + 112) << 23 | fraction << 13);
  const float value = fraction * 5.9604644775390625e-8f;  // 2⁻²⁴
  return sign ? -value : value;
}

// The nearest number, ties to even.
__device__ inline unsigned encodeHalf(float x, int brain) {
  const unsigned bits = __float_as_uint(x), magnitude = bits & 0x7fffffffu;
  if (brain) return isNaN(x) ? bits >> 16 | 0x40u : (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
  const unsigned sign = bits >> 16 & 0x8000u;
  if (isNaN(x)) return sign | 0x7e00u;
  if (magnitude >= 0x477ff000u) return sign | 0x7c00u;
  if (magnitude >= 0x38800000u) return sign | (magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
  // below 2⁻¹⁴ halves are 2⁻²⁴ apart
  const float steps = __uint_as_float(magnitude) * 16777216.f, whole = floorf(steps), rest = steps - whole;
  const unsigned count = (unsigned)whole;
  return sign | (count + (rest > 0.5f || (rest == 0.5f && count % 2 == 1) ? 1u : 0u));
}
