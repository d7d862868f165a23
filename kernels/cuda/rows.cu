// Rows of a gradient: their norms, the draw of a sample, and copies of what was drawn.
#include "common.cuh"

// √Σ x² of each row. A block a row.
KERNEL void row_norms(const float* x, float* norms, Size columns) {
  float sum = 0;
  for (Size i = threadIdx.x; i < columns; i += blockDim.x) {
    const float value = x[(Size)blockIdx.x * columns + i];
    sum += value * value;
  }
  sum = sumOfBlock(sum);
  if (threadIdx.x == 0) norms[blockIdx.x] = sqrtf(sum);
}

// Never contracted with what it is added to: each pass below must have the same number.
__device__ inline float probabilityOf(float norm, float c) {
  const float p = __fmul_rn(c, norm);
  return p >= 1 ? 1 : p;
}

// Whether a point offset + j lies between the cumulative sums before and after a row.
__device__ inline bool isDrawn(float before, float after, float offset) {
  return ceilf(after - offset) > ceilf(before - offset);
}

// Draws `rows` of `size` rows with probabilities p = min(1, c · norm), Σp = rows: see src/kernels/portable/sample_rows.ts.
// One block of BLOCK threads.
// p is never stored. c is raised in four rounds until what is not capped makes up for what is; a row that is capped stays
// so. A thread then has a run of neighbours: their cumulative sum is that of the runs before plus that of its own so far,
// the same number for the last row of a run as for the start of the next, so that no point falls between two rows or into
// both.
KERNEL void sample_rows(const float* norms, const float* offsets, int* indices, float* weights,
                                       int size, int rows) {
  constexpr float TINY = 1e-30f, MOST = 1e30f;
  __shared__ float sums[BLOCK + 1];
  __shared__ int counts[BLOCK + 1];
  const int thread = threadIdx.x;
  const float offset = *offsets;
  float sum = 0;
  for (int i = thread; i < size; i += BLOCK) sum += norms[i];
  float c = rows / (sumOfBlock(sum) + TINY);
  for (int round = 0; round < 4; round++) {
    float free = 0, ofFree = 0;
    for (int i = thread; i < size; i += BLOCK) {
      const float p = probabilityOf(norms[i], c);
      if (p < 1 || isNaN(p)) {
        free += 1;
        ofFree += p;
      }
    }
    const float left = sumOfBlock(free) + rows - size, factor = left / (sumOfBlock(ofFree) + TINY);
    // not fmaxf(1, factor), which is 1 for NaN; and c · 0 is to be 0
    if (isNaN(factor) || factor > 1) c *= factor;
    if (c > MOST) c = MOST;
  }

  const int run = (size + BLOCK - 1) / BLOCK, start = min(thread * run, size), end = min(start + run, size);
  float own = 0;
  for (int i = start; i < end; i++) own += probabilityOf(norms[i], c);
  sums[thread + 1] = own;
  __syncthreads();
  if (thread == 0) {
    sums[0] = 0;
    for (int i = 1; i <= BLOCK; i++) sums[i] += sums[i - 1];
  }
  __syncthreads();
  int count = 0;
  float before = sums[thread];
  own = 0;
  for (int i = start; i < end; i++) {
    own += probabilityOf(norms[i], c);
    const float after = sums[thread] + own;
    count += isDrawn(before, after, offset);
    before = after;
  }
  counts[thread + 1] = count;
  __syncthreads();
  if (thread == 0) {
    counts[0] = 0;
    for (int i = 1; i <= BLOCK; i++) counts[i] += counts[i - 1];
  }
  __syncthreads();

  // the drawn rows, and in places left empty the first ones not drawn, with weight 0
  int to = counts[thread];
  before = sums[thread];
  own = 0;
  for (int i = start; i < end; i++) {
    const float p = probabilityOf(norms[i], c);
    own += p;
    const float after = sums[thread] + own;
    const bool drawn = isDrawn(before, after, offset);
    before = after;
    const int place = drawn ? to : counts[BLOCK] + i - to;
    to += drawn;
    if (place < rows) {
      indices[place] = i;
      weights[place] = drawn ? 1 / p : isNaN(p) ? p : 0;
    }
  }
}

// to[j] = weights[j] · from[indices[j]]; NaN for an index out of range.
KERNEL void gather_rows(const float* from, const int* indices, const float* weights, float* to,
                                       Size rows, Size columns, Size size) {
  for (Size i = firstOfGrid(); i < size; i += strideOfGrid()) {
    const Size j = i / columns, row = indices[j];
    to[i] = row >= 0 && row < rows ? weights[j] * from[row * columns + i % columns] : NAN;
  }
}

// to[indices[j]] += from[j]; an index out of range is passed over, its row of `from` being of no row.
KERNEL void add_rows(const float* from, const int* indices, float* to, Size rows, Size columns,
                                    Size size) {
  for (Size i = firstOfGrid(); i < size; i += strideOfGrid()) {
    const Size row = indices[i / columns];
    if (row >= 0 && row < rows) atomicAdd(&to[row * columns + i % columns], from[i]);
  }
}
