// Products of which one side is a rank, at most WIDTH: what counts is that the large matrix is read once, and by enough
// threads. Sums go over parts of the inner side, which sum_skinny adds up.
#include "kept.cuh"
#include "tiles.cuh"

namespace skinny {
constexpr int WIDTH = 16;
// A block of skinny_rows treats so many rows, so many numbers deep at a time, which lie PITCH apart in groups of four: so a
// warp's reads of tiles fall on all banks. Its part of the inner side is at most LONGEST.
constexpr int ROWS = 32, DEPTH = 128, PITCH = DEPTH / 4 + 1, LONGEST = 16 * DEPTH;
// A block of skinny_columns takes so many rows at a time, and a thread loads so many numbers at once.
constexpr int STEP = 32, LOADS = 8;
}  // namespace skinny

// parts[y] [m, n] = a [m, k] · b over y · part …, a multiple of DEPTH, n ≤ 16 or 0; b(i, j) is b[i · strideK + j · strideN].
// 256 threads: of 32 rows and 128 numbers each, four pairs of warps multiply 32 numbers deep, a warp 16 rows. What comes next
// is loaded while what is there is multiplied, and its kept columns are copied.
KERNEL void __launch_bounds__(256, 3)
    skinny_rows(const float* a, const float* b, float* parts, Size m, Size k, Size n, Size strideK, Size strideN, Size part,
                KeptColumns kept) {
  using namespace skinny;
  __shared__ float4 left[ROWS][PITCH];
  __shared__ float4 right[WIDTH][PITCH];
  // the kept columns of this part, ascending, and the first of every DEPTH numbers
  __shared__ unsigned short places[LONGEST];
  __shared__ int firsts[LONGEST / DEPTH + 1];
  __shared__ int oneByOne;
  const int thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
  const Size row0 = (Size)blockIdx.x * ROWS, start = blockIdx.y * part, end = min(k, start + part);
  const bool aligned = k % 4 == 0, byRows = strideN == 1 && strideK != 1;
  const bool alignedB = byRows ? strideK % 4 == 0 : aligned && strideK == 1 && strideN % 4 == 0;
  // what a thread loads: group `lane` of four of rows warp, warp + 8 … of a and of columns of b; or, if b lies by rows, four of
  // a row each
  const int rowOfB = thread / 4, columnOfB = thread % 4 * 4;
  float4 rows[ROWS / 8], columns[WIDTH / 8];
  const auto load = [&](Size at) {
    const Size i = at + 4 * lane;
    const float4 none = {0, 0, 0, 0};
#pragma unroll
    for (int q = 0; q < ROWS / 8; q++) {
      const Size row = row0 + warp + 8 * q;
      rows[q] = row < m ? fourOf(a + row * k, i, k, 1, aligned) : none;
    }
#pragma unroll
    for (int q = 0; q < WIDTH / 8; q++) {
      const Size column = warp + 8 * q, row = at + rowOfB + DEPTH / 2 * q;
      if (byRows) columns[q] = row < k ? fourOf(b + row * strideK, columnOfB, n, 1, alignedB) : none;
      else columns[q] = column < n ? fourOf(b + column * strideN, i, k, strideK, alignedB) : none;
    }
  };
  load(start);

  if (thread == 0) oneByOne = 0;
  __syncthreads();
  const int chunks = (int)((end - start + DEPTH - 1) / DEPTH);
  for (Size j = thread; j <= kept.count; j += blockDim.x) {
    // the j-th index and the one before it have between them the starts of no chunk, or of some
    const Size before = j > 0 ? kept.indices[j - 1] : -1, here = j < kept.count ? kept.indices[j] : start + LONGEST + k;
    if (here <= before || before >= k) oneByOne = 1;
    const Size from = before < start ? 0 : (before - start) / DEPTH + 1;
    const Size to = here < start ? -1 : min((Size)chunks, (here - start) / DEPTH);
    for (Size chunk = from; chunk <= to; chunk++) firsts[chunk] = (int)j;
  }
  __syncthreads();
  if (oneByOne) {
    // they do not ascend, or are out of range
    const Size share = (kept.count + gridDim.y - 1) / gridDim.y, last = min(kept.count, (blockIdx.y + (Size)1) * share);
    for (Size j = blockIdx.y * share + thread; j < last; j += blockDim.x) {
      const Size column = kept.indices[j];
      const bool exists = column >= 0 && column < k;
      for (Size row = row0; row < min(m, row0 + ROWS); row++) {
        put(kept.to, kept.brain, row * kept.stride + j, exists ? a[row * k + column] : NAN);
      }
    }
  } else {
    for (int j = firsts[0] + thread; j < firsts[chunks]; j += blockDim.x) {
      places[j - firsts[0]] = (unsigned short)(kept.indices[j] - start);
    }
  }

  const int group = lane / 4, slice = lane % 4, tile = warp % 2, quarter = warp / 2;
  float sums[2][4] = {};
  for (int chunk = 0; chunk < chunks; chunk++) {
    __syncthreads();
#pragma unroll
    for (int q = 0; q < ROWS / 8; q++) left[warp + 8 * q][lane] = rows[q];
#pragma unroll
    for (int q = 0; q < WIDTH / 8; q++) {
      if (!byRows) {
        right[warp + 8 * q][lane] = columns[q];
        continue;
      }
      float* to = (float*)right + columnOfB * 4 * PITCH + rowOfB + DEPTH / 2 * q;
      to[0] = columns[q].x;
      to[4 * PITCH] = columns[q].y;
      to[8 * PITCH] = columns[q].z;
      to[12 * PITCH] = columns[q].w;
    }
    __syncthreads();
    if (chunk + 1 < chunks) load(start + (Size)(chunk + 1) * DEPTH);
    const float* numbers = (const float*)left;
    if (n > 0) {
      const float* x = numbers + (16 * tile + group) * 4 * PITCH + 32 * quarter + slice;
      const float* y = (const float*)right + group * 4 * PITCH + 32 * quarter + slice;
#pragma unroll
      for (int i = 0; i < 32; i += 8) {
        const float tileA[4] = {x[i], x[8 * 4 * PITCH + i], x[i + 4], x[8 * 4 * PITCH + i + 4]};
#pragma unroll
        for (int h = 0; h < 2; h++) {
          const float tileB[2] = {y[h * 8 * 4 * PITCH + i], y[h * 8 * 4 * PITCH + i + 4]};
          multiplyTiles(sums[h], tileA, tileB);
        }
      }
    }
    if (kept.count == 0 || oneByOne) continue;
    for (int j = firsts[chunk] + lane; j < firsts[chunk + 1]; j += 32) {
      const int place = places[j - firsts[0]] - chunk * DEPTH;
#pragma unroll
      for (int q = 0; q < ROWS / 8; q++) {
        const int row = warp + 8 * q;
        if (row0 + row < m) put(kept.to, kept.brain, (row0 + row) * kept.stride + j, numbers[row * 4 * PITCH + place]);
      }
    }
  }
  if (n == 0) return;

  // the sums of the four depths
  __syncthreads();
  float* all = (float*)left;
#pragma unroll
  for (int h = 0; h < 2; h++) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int row = 16 * tile + group + 8 * (i / 2), column = 8 * h + 2 * slice + i % 2;
      all[(quarter * ROWS + row) * WIDTH + column] = sums[h][i];
    }
  }
  __syncthreads();
  for (int i = thread; i < ROWS * WIDTH; i += blockDim.x) {
    const Size row = row0 + i / WIDTH, column = i % WIDTH;
    float sum = 0;
    for (int q = 0; q < 4; q++) sum += all[q * ROWS * WIDTH + i];
    if (row < m && column < n) parts[(blockIdx.y * m + row) * n + column] = sum;
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
