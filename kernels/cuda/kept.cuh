// What a kernel copies of a matrix that it reads.
#pragma once
#include "half.cuh"

// Columns of a matrix: to[row, j] = from[row, indices[j]], rows of `to` `stride` apart; float32 numbers, or bfloat16 ones if
// `brain`. NaN for an index out of range.
struct KeptColumns {
  const int* indices;
  Size count;
  void* to;
  Size stride;
  int brain;
};

// to[at] = value, float32 or bfloat16.
__device__ inline void put(void* to, int brain, Size at, float value) {
  if (brain) ((unsigned short*)to)[at] = (unsigned short)encodeHalf(value, 1);
  else ((float*)to)[at] = value;
}
