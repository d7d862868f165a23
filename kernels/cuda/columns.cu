// Columns of a gradient: their scores, the choice of the largest, and copies of what was chosen.
#include "common.cuh"

// parts[y] = Σ dy² over rows y · part …, 32 columns and 8 rows at a time; 8 loads of a thread are under way.
KERNEL void column_squares(const float* dy, float* parts, Size rows, Size columns, Size part) {
  constexpr int LOADS = 8;
  const Size column = (Size)blockIdx.x * 32 + threadIdx.x, end = min(rows, (blockIdx.y + (Size)1) * part);
  float sum = 0;
  if (column < columns) {
    for (Size row = blockIdx.y * part + threadIdx.y; row < end; row += 8 * LOADS) {
      float values[LOADS];
#pragma unroll
      for (int i = 0; i < LOADS; i++) values[i] = row + 8 * i < end ? dy[(row + 8 * i) * columns + column] : 0;
#pragma unroll
      for (int i = 0; i < LOADS; i++) sum += values[i] * values[i];
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
  const unsigned bits = __float_as_uint(score + 0.f);  // −0 is 0
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}

// The sum over SELECTING threads; each gets it, and each must call it.
__device__ inline unsigned countOfBlock(unsigned count) {
  __shared__ unsigned warps[32];
  for (int lanes = 16; lanes > 0; lanes /= 2) count += __shfl_xor_sync(~0u, count, lanes);
  __syncthreads();
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = count;
  __syncthreads();
  count = warps[threadIdx.x % 32];
  for (int lanes = 16; lanes > 0; lanes /= 2) count += __shfl_xor_sync(~0u, count, lanes);
  return count;
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
// The k-th largest is found bit by bit, from the highest: the largest number that k of them are not below. Counting, not a
// histogram: scores are alike, and a histogram's threads would wait for each other. Then each thread goes over a run of
// neighbours, and copies what is above that number and the first ones equal to it.
KERNEL void __launch_bounds__(SELECTING)
    select_columns(const float* scores, int* indices, int size, int k) {
  const int thread = threadIdx.x;
  unsigned border = 0;
  for (int bit = 31; bit >= 0; bit--) {
    const unsigned candidate = border | 1u << bit;
    unsigned count = 0;
    for (int i = thread; i < size; i += SELECTING) count += orderOf(scores[i]) >= candidate;
    if (countOfBlock(count) >= (unsigned)k) border = candidate;
  }
  const int run = (size + SELECTING - 1) / SELECTING, start = min(thread * run, size);
  const int end = start + min(run, size - start);
  unsigned above = 0, equal = 0;
  for (int i = start; i < end; i++) {
    const unsigned key = orderOf(scores[i]);
    above += key > border;
    equal += key == border;
  }
  // `left` of those equal to it are taken
  const unsigned left = k - countOfBlock(above), aboveBefore = sumBefore(above), equalBefore = sumBefore(equal);
  unsigned place = aboveBefore + min(equalBefore, left), seen = equalBefore;
  for (int i = start; i < end; i++) {
    const unsigned key = orderOf(scores[i]);
    const bool chosen = key > border || (key == border && seen < left);
    seen += key == border;
    if (chosen) indices[place++] = i;
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

// Matrices [rows, columns], each of which goes into columns of a wider one, whose rows are `stride` apart.
struct ColumnCopies {
  static constexpr int MOST = 3;
  const float* from[MOST];
  float* to[MOST];
  Size sizes[MOST], columns[MOST], strides[MOST];
};

// Row y of the grid has copy y.
KERNEL void copy_columns(ColumnCopies copies) {
  const int copy = blockIdx.y;
  const float* from = copies.from[copy];
  float* to = copies.to[copy];
  const Size size = copies.sizes[copy], columns = copies.columns[copy], stride = copies.strides[copy];
  for (Size i = firstOfGrid(); i < size; i += strideOfGrid()) to[i / columns * stride + i % columns] = from[i];
}
