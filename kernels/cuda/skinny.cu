// Products of which one side is a rank, at most WIDTH: what counts is that the large matrix is read once, and by enough
// threads. Sums go over parts of the inner side, which sum_skinny adds up.
#include "common.cuh"

namespace skinny {
constexpr int WIDTH = 16;
// A block of skinny_rows treats so many rows, so many numbers deep at a time: 16 groups of four, and a group of padding.
constexpr int ROWS = 32, DEPTH = 64, PITCH = DEPTH / 4 + 1;
// A block of skinny_columns takes so many rows at a time, and a thread loads so many numbers at once.
constexpr int STEP = 32, LOADS = 8;
}  // namespace skinny

__device__ inline float dotOf(float4 a, float4 b) { return a.x * b.x + a.y * b.y + a.z * b.z + a.w * b.w; }

// Numbers i … i + 3 of `count`, which lie `stride` apart; 0 beyond.
__device__ inline float4 fourOf(const float* numbers, Size i, Size count, Size stride, bool aligned) {
  if (aligned && i + 4 <= count) return *(const float4*)(numbers + i);
  float4 four;
  four.x = i < count ? numbers[i * stride] : 0;
  four.y = i + 1 < count ? numbers[(i + 1) * stride] : 0;
  four.z = i + 2 < count ? numbers[(i + 2) * stride] : 0;
  four.w = i + 3 < count ? numbers[(i + 3) * stride] : 0;
  return four;
}

// parts[y] [m, n] = a [m, k] · b over y · part …; b(i, j) is b[i · strideK + j · strideN]. 256 threads: a warp has four
// rows; in it, eight threads share the depth, and four groups of them the n ≤ 16 columns. What comes next is loaded while
// what is there is multiplied.
KERNEL void __launch_bounds__(256) skinny_rows(const float* a, const float* b, float* parts, Size m, Size k, Size n,
                                               Size strideK, Size strideN, Size part) {
  using namespace skinny;
  __shared__ float4 left[ROWS][PITCH];
  __shared__ float4 right[WIDTH][PITCH];
  const int thread = threadIdx.x, slice = thread % 8, group = thread / 8 % 4, warp = thread / 32;
  const Size row0 = (Size)blockIdx.x * ROWS, start = blockIdx.y * part, end = min(k, start + part);
  const bool aligned = k % 4 == 0, alignedB = aligned && strideK == 1 && strideN % 4 == 0;
  // what a thread loads: of rows y and y + 16 of a and of column y of b, group x of four
  const int x = thread % (DEPTH / 4), y = thread / (DEPTH / 4);
  float4 first, second, factor;
  const auto load = [&](Size at) {
    const Size i = at + 4 * x;
    const float4 none = {0, 0, 0, 0};
    first = row0 + y < m ? fourOf(a + (row0 + y) * k, i, end, 1, aligned) : none;
    second = row0 + y + 16 < m ? fourOf(a + (row0 + y + 16) * k, i, end, 1, aligned) : none;
    factor = y < n ? fourOf(b + y * strideN, i, end, strideK, alignedB) : none;
  };
  float sums[4][4] = {};
  load(start);
  for (Size at = start; at < end; at += DEPTH) {
    __syncthreads();
    left[y][x] = first;
    left[y + 16][x] = second;
    right[y][x] = factor;
    __syncthreads();
    if (at + DEPTH < end) load(at + DEPTH);
#pragma unroll
    for (int step = 0; step < DEPTH / 32; step++) {
      const int place = 8 * step + slice;
      float4 rows[4];
#pragma unroll
      for (int i = 0; i < 4; i++) rows[i] = left[4 * warp + i][place];
#pragma unroll
      for (int j = 0; j < 4; j++) {
        const float4 column = right[4 * group + j][place];
#pragma unroll
        for (int i = 0; i < 4; i++) sums[i][j] += dotOf(rows[i], column);
      }
    }
  }
#pragma unroll
  for (int i = 0; i < 4; i++) {
#pragma unroll
    for (int j = 0; j < 4; j++) {
      for (int lanes = 1; lanes < 8; lanes *= 2) sums[i][j] += __shfl_xor_sync(~0u, sums[i][j], lanes);
      const Size row = row0 + 4 * warp + i, column = 4 * group + j;
      if (slice == i && row < m && column < n) parts[(blockIdx.y * m + row) * n + column] = sums[i][j];
    }
  }
}

// parts[y] [m, n] = bigᵀ · small over rows y · part …, for big [rows, m] and small [rows, n], n ≤ 16. A thread has a column.
KERNEL void __launch_bounds__(256) skinny_columns(const float* big, const float* small, float* parts, Size rows,
                                                  Size m, Size n, Size part) {
  using namespace skinny;
  __shared__ float factors[STEP][WIDTH];
  const Size column = firstOfGrid(), end = min(rows, (blockIdx.y + (Size)1) * part);
  float sums[WIDTH] = {};
  for (Size row0 = blockIdx.y * part; row0 < end; row0 += STEP) {
    __syncthreads();
    for (int i = threadIdx.x; i < STEP * WIDTH; i += blockDim.x) {
      const Size row = row0 + i / WIDTH, j = i % WIDTH;
      factors[i / WIDTH][j] = row < end && j < n ? small[row * n + j] : 0;
    }
    __syncthreads();
    if (column >= m) continue;
    for (int i = 0; i < STEP; i += LOADS) {
      float values[LOADS];
#pragma unroll
      for (int q = 0; q < LOADS; q++) values[q] = row0 + i + q < end ? big[(row0 + i + q) * m + column] : 0;
#pragma unroll
      for (int q = 0; q < LOADS; q++) {
#pragma unroll
        for (int j = 0; j < WIDTH; j++) sums[j] += values[q] * factors[i + q][j];
      }
    }
  }
  if (column >= m) return;
#pragma unroll
  for (int j = 0; j < WIDTH; j++) {
    if (j < n) parts[(blockIdx.y * m + column) * n + j] = sums[j];
  }
}

// c(i, j), which is c[i · strideM + j · strideN], = alpha · Σ parts [count, m, n]; size = m · n.
KERNEL void sum_skinny(const float* parts, float* c, Size count, Size size, Size n, float alpha, Size strideM,
                       Size strideN) {
  for (Size i = firstOfGrid(); i < size; i += strideOfGrid()) {
    float sum = 0;
    for (Size part = 0; part < count; part++) sum += parts[part * size + i];
    c[i / n * strideM + i % n * strideN] = alpha * sum;
  }
}
