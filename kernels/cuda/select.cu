// The choice of the columns with the largest scores.
#include "common.cuh"

constexpr int SELECTING = 1024, HELD = 12;

// A number whose order as an integer is that of the score; NaN comes first, so that it is not lost. None is 0.
__device__ inline unsigned orderOf(float score) {
  if (isNaN(score)) return 0xffffffffu;
  const unsigned bits = __float_as_uint(score + 0.f);  // −0 is 0
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}

// The sum over SELECTING threads; each gets it, and each must call it, with a turn other than the last one's, 0 or 1.
__device__ inline unsigned countOfBlock(unsigned count, int turn) {
  __shared__ unsigned warps[2][32];
  for (int lanes = 16; lanes > 0; lanes /= 2) count += __shfl_xor_sync(~0u, count, lanes);
  if (threadIdx.x % 32 == 0) warps[turn][threadIdx.x / 32] = count;
  __syncthreads();
  count = warps[turn][threadIdx.x % 32];
  for (int lanes = 16; lanes > 0; lanes /= 2) count += __shfl_xor_sync(~0u, count, lanes);
  return count;
}

// The sum up to here over a warp's lanes.
__device__ inline unsigned sumOfLanes(unsigned value) {
  const unsigned lane = threadIdx.x % 32;
  for (unsigned lanes = 1; lanes < 32; lanes *= 2) {
    const unsigned before = __shfl_up_sync(~0u, value, lanes);
    if (lane >= lanes) value += before;
  }
  return value;
}

// The sum of what the threads before have; every one of SELECTING threads must call it.
__device__ inline unsigned sumBefore(unsigned value) {
  __shared__ unsigned warps[32];
  const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32, sum = sumOfLanes(value);
  __syncthreads();
  if (lane == 31) warps[warp] = sum;
  __syncthreads();
  if (warp == 0) warps[lane] = sumOfLanes(warps[lane]);
  __syncthreads();
  return sum - value + (warp > 0 ? warps[warp - 1] : 0);
}

// each(i, key) for the places `start` … `end` − 1, in their order; their keys are `keys` if those hold a run.
template <class Each>
__device__ inline void overRun(const float* scores, const unsigned (&keys)[HELD], int start, int end, bool held,
                               const Each& each) {
  if (held) {
#pragma unroll
    for (int i = 0; i < HELD; i++) {
      if (start + i < end) each(start + i, keys[i]);
    }
  } else {
    for (int i = start; i < end; i++) each(i, orderOf(scores[i]));
  }
}

// The indices of the k largest of `size` scores, ascending; of equal ones the first. One block. Each thread has a run of
// neighbours, in registers if it is at most HELD long.
// The k-th largest is found bit by bit, from the highest: the largest number that k of them are not below, or sooner one that
// just k are not below. Counting, not a histogram: scores are alike, and a histogram's threads would wait for each other.
// Then each thread copies what is above that number, and the first ones equal to it.
KERNEL void __launch_bounds__(SELECTING) select_columns(const float* scores, int* indices, int size, int k) {
  const int thread = threadIdx.x, run = (size + SELECTING - 1) / SELECTING, start = min(thread * run, size);
  const int end = start + min(run, size - start);
  const bool held = run <= HELD;
  unsigned keys[HELD];
#pragma unroll
  for (int i = 0; i < HELD; i++) keys[i] = held && start + i < end ? orderOf(scores[start + i]) : 0;

  unsigned border = 0;
  for (int bit = 31; bit >= 0; bit--) {
    const unsigned candidate = border | 1u << bit;
    unsigned count = 0;
    if (held) {
#pragma unroll
      for (int i = 0; i < HELD; i++) count += keys[i] >= candidate;
    } else {
      for (int i = thread; i < size; i += SELECTING) count += orderOf(scores[i]) >= candidate;
    }
    count = countOfBlock(count, bit % 2);
    if (count >= (unsigned)k) border = candidate;
    if (count == (unsigned)k) break;
  }

  unsigned above = 0, equal = 0;
  overRun(scores, keys, start, end, held, [&](int, unsigned key) {
    above += key > border;
    equal += key == border;
  });
  // the threads before have so many of both; `left` of those equal to it are taken, if it came to that
  const unsigned aboveBefore = sumBefore(above), equalBefore = sumBefore(equal);
  __shared__ unsigned left;
  if (thread == SELECTING - 1) left = k - (aboveBefore + above);
  __syncthreads();
  unsigned place = aboveBefore + min(equalBefore, left), seen = equalBefore;
  overRun(scores, keys, start, end, held, [&](int i, unsigned key) {
    const bool chosen = key > border || (key == border && seen < left);
    seen += key == border;
    if (chosen) indices[place++] = i;
  });
}
