// Columns of a gradient: their scores, the choice of the largest, and copies of what was chosen.
#include "common.cuh"

// parts[y] = Σ dy² over rows y · part …, 32 columns and 8 rows at a time.
KERNEL void column_squares(const float* dy, float* parts, Size rows, Size columns, Size part) {
  const Size column = (Size)blockIdx.x * 32 + threadIdx.x, end = min(rows, (blockIdx.y + (Size)1) * part);
  float sum = 0;
  if (column < columns) {
    for (Size row = blockIdx.y * part + threadIdx.y; row < end; row += 8) {
      sum += dy[row * columns + column] * dy[row * columns + column];
    }
  }
  __shared__ float sums[8][33];
  sums[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y > 0 || column >= columns) return;
  for (int i = 1; i < 8; i++) sum += sums[i][threadIdx.x];
  parts[blockIdx.y * columns + column] = sum;
}

// √Σ parts, times norms if there are any.
KERNEL void column_scores(const float* parts, const float* norms, float* scores, Size count,
                                         Size columns) {
  for (Size i = firstOfGrid(); i < columns; i += strideOfGrid()) {
    float sum = 0;
    for (Size part = 0; part < count; part++) sum += parts[part * columns + i];
    scores[i] = sqrtf(sum) * (norms ? norms[i] : 1);
  }
}

constexpr int SELECTING = 1024;

// A number whose order as an integer is that of the score; NaN comes first, so that it is not lost.
__device__ inline unsigned orderOf(float score) {
  if (isNaN(score)) return 0xffffffffu;
  const unsigned bits = __float_as_uint(score);
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}

// The sum of what the threads before have; every one of SELECTING threads must call it.
__device__ inline unsigned sumBefore(unsigned value) {
  __shared__ unsigned sums[SELECTING];
  const unsigned thread = threadIdx.x;
  __syncthreads();
  sums[thread] = value;
  __syncthreads();
  for (unsigned distance = 1; distance < SELECTING; distance *= 2) {
    const unsigned before = thread >= distance ? sums[thread - distance] : 0;
    __syncthreads();
    sums[thread] += before;
    __syncthreads();
  }
  return sums[thread] - value;
}

// The indices of the k largest of `size` scores, ascending; of equal ones the first. One block.
// Radix select: four rounds find the k-th largest from its highest byte to its lowest, each counting how many of the
// numbers that agree so far have which next byte. Then the threads copy, a run of neighbours at a time, what is above it
// and the first ones equal to it.
KERNEL void __launch_bounds__(SELECTING)
    select_columns(const float* scores, int* indices, int size, int k) {
  __shared__ unsigned counts[256];
  __shared__ unsigned found[2];
  const int thread = threadIdx.x;
  unsigned prefix = 0, left = k;
  for (int round = 0; round < 4; round++) {
    const int shift = 24 - 8 * round;
    if (thread < 256) counts[thread] = 0;
    __syncthreads();
    for (int i = thread; i < size; i += SELECTING) {
      const unsigned key = orderOf(scores[i]);
      if (round == 0 || key >> (shift + 8) == prefix) atomicAdd(&counts[key >> shift & 255], 1u);
    }
    __syncthreads();
    if (thread == 0) {
      unsigned byte = 255, before = 0;
      while (byte > 0 && before + counts[byte] < left) before += counts[byte--];
      found[0] = byte;
      found[1] = before;
    }
    __syncthreads();
    prefix = prefix << 8 | found[0];
    left -= found[1];
  }
  // prefix is the k-th largest now, and `left` of those equal to it are taken
  unsigned taken = 0, to = 0;
  for (int start = 0; start < size; start += SELECTING) {
    const int i = start + thread;
    const unsigned key = i < size ? orderOf(scores[i]) : 0;
    const bool equal = i < size && key == prefix;
    const unsigned equalBefore = taken + sumBefore(equal);
    const bool chosen = i < size && (key > prefix || (equal && equalBefore < left));
    const unsigned place = to + sumBefore(chosen);
    if (chosen) indices[place] = i;
    // the last thread knows how many there were
    if (thread == SELECTING - 1) {
      found[0] = equalBefore + equal;
      found[1] = place + chosen;
    }
    __syncthreads();
    taken = found[0];
    to = found[1];
  }
}

constexpr int ROWS_OF_GATHER = 8;

// to[row, j] = from[row, indices[j]]; NaN for an index out of range. A thread keeps one index and walks 8 rows, so that 8
// loads are under way. Blocks go along the columns first.
KERNEL void gather_columns(const float* from, const int* indices, float* to, Size rows, Size columns,
                                          Size k) {
  const Size blocks = (k + blockDim.x - 1) / blockDim.x;
  const Size j = blockIdx.x % blocks * blockDim.x + threadIdx.x, row = blockIdx.x / blocks * ROWS_OF_GATHER;
  if (j >= k) return;
  const Size column = indices[j];
  const bool exists = column >= 0 && column < columns;
  const float* source = from + row * columns + (exists ? column : 0);
  float values[ROWS_OF_GATHER];
#pragma unroll
  for (int i = 0; i < ROWS_OF_GATHER; i++) values[i] = exists && row + i < rows ? source[i * columns] : NAN;
#pragma unroll
  for (int i = 0; i < ROWS_OF_GATHER; i++) {
    if (row + i < rows) to[(row + i) * k + j] = values[i];
  }
}

// to[i, j] = from[indices[j], i] for from [rows, columns]: through a tile of 32 × 32, so that both sides are read and
// written along rows. Blocks go along the columns of `from` first.
KERNEL void gather_rows_turned(const float* from, const int* indices, float* to, Size rows,
                                              Size columns, Size k) {
  __shared__ float tile[32][33];
  const Size blocks = (columns + 31) / 32;
  const Size column0 = blockIdx.x % blocks * 32, j0 = blockIdx.x / blocks * 32;
  for (int y = threadIdx.y; y < 32; y += 8) {
    const Size column = column0 + threadIdx.x;
    if (j0 + y >= k || column >= columns) continue;
    const Size row = indices[j0 + y];
    tile[y][threadIdx.x] = row >= 0 && row < rows ? from[row * columns + column] : NAN;
  }
  __syncthreads();
  for (int y = threadIdx.y; y < 32; y += 8) {
    const Size j = j0 + threadIdx.x;
    if (j < k && column0 + y < columns) to[(column0 + y) * k + j] = tile[threadIdx.x][y];
  }
}

// A matrix [rows, columns] into columns of a wider one, whose rows are `stride` apart.
KERNEL void copy_columns(const float* from, float* to, Size size, Size columns, Size stride) {
  for (Size i = firstOfGrid(); i < size; i += strideOfGrid()) to[i / columns * stride + i % columns] = from[i];
}
