// Random numbers by a hash of their places, as src/kernels/counter_hash.ts has it, bit for bit.
#include "common.cuh"

constexpr int HASH_ROUNDS = 5;

// values[i], a multiple of 2⁻²⁴ in [0, 1); of a mask, `kept` where it is below `keep`, else 0. keys [⌈size / 2²⁴⌉, HASH_ROUNDS].
KERNEL void random_uniform(const int* keys, float* values, Size size, int mask, float keep, float kept) {
  for (Size i = firstOfGrid(); i < size; i += strideOfGrid()) {
    const int* own = keys + (i >> 24) * HASH_ROUNDS;
    unsigned left = (unsigned)(i >> 12) & 4095, right = (unsigned)i & 4095;
#pragma unroll
    for (int round = 0; round < HASH_ROUNDS; round++) {
      const int difference = (int)right - own[round];
      const unsigned next = (left + ((unsigned)(difference * difference) >> 5)) & 4095;
      left = right;
      right = next;
    }
    const float value = (float)(right << 12 | left) / (1 << 24);
    values[i] = !mask ? value : value < keep ? kept : 0;
  }
}
