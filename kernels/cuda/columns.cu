// Columns of a gradient: their scores, and copies of those that were chosen.
#include "kept.cuh"

// parts[y] = Σ dy² over rows y · part …: a warp has 128 columns, four a thread, and the 8 warps every eighth row; 4 loads of a
// thread are under way.
KERNEL void column_squares(const float* dy, float* parts, Size rows, Size columns, Size part) {
  constexpr int LOADS = 4, WARPS = 8;
  const Size column = ((Size)blockIdx.x * 32 + threadIdx.x) * 4, end = min(rows, (blockIdx.y + (Size)1) * part);
  const bool aligned = columns % 4 == 0;
  float4 sum = {0, 0, 0, 0};
  for (Size row = blockIdx.y * part + threadIdx.y; row < end; row += WARPS * LOADS) {
    float4 values[LOADS];
#pragma unroll
    for (int i = 0; i < LOADS; i++) {
      const float4 none = {0, 0, 0, 0};
      const Size at = row + WARPS * i;
      values[i] = at < end ? fourOf(dy + at * columns, column, columns, 1, aligned) : none;
    }
#pragma unroll
    for (int i = 0; i < LOADS; i++) {
      sum.x += values[i].x * values[i].x;
      sum.y += values[i].y * values[i].y;
      sum.z += values[i].z * values[i].z;
      sum.w += values[i].w * values[i].w;
    }
  }
  __shared__ float4 sums[WARPS][32];
  sums[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  // one column a thread
  const int place = threadIdx.y * 32 + threadIdx.x;
  const Size own = (Size)blockIdx.x * 128 + place;
  if (place >= 128 || own >= columns) return;
  float total = 0;
  for (int i = 0; i < WARPS; i++) total += ((const float*)sums[i])[place];
  parts[blockIdx.y * columns + own] = total;
}

// √Σ parts, times norms if there are any.
KERNEL void column_scores(const float* parts, const float* norms, float* scores, Size count, Size columns) {
  for (Size i = firstOfGrid(); i < columns; i += strideOfGrid()) {
    float sum = 0;
#pragma unroll 8
    for (Size part = 0; part < count; part++) sum += parts[part * columns + i];
    scores[i] = sqrtf(sum) * (norms ? norms[i] : 1);
  }
}

constexpr int ROWS_OF_GATHER = 8;

// to[row, j] = from[row, indices[j]], rows of `to` `stride` apart; NaN for an index out of range. A thread keeps one index and
// walks 8 rows, so that 8 loads are under way. Blocks go along the columns first.
KERNEL void gather_columns(const float* from, const int* indices, float* to, Size rows, Size columns, Size k,
                           Size stride) {
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
    if (row + i < rows) to[(row + i) * stride + j] = values[i];
  }
}

// to[i, j] = from[indices[j], i] for from [rows, columns], rows of `to` `stride` apart: through a tile of 32 × 32, so that both
// sides are read and written along rows. Blocks go along the columns of `from` first.
KERNEL void gather_rows_turned(const float* from, const int* indices, float* to, Size rows, Size columns, Size k,
                               Size stride) {
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
    if (j < k && column0 + y < columns) to[(column0 + y) * stride + j] = tile[threadIdx.x][y];
  }
}

// Columns of a matrix, to[row, 0 … room − 1], rows `stride` apart, float32 or bfloat16 numbers: the sums of `parts`, `count`
// matrices [rows, summed], then a copy of `copied` [rows, columns], then zeros.
struct Tail {
  const float* parts;
  Size count, summed;
  const float* copied;
  Size columns;
  void* to;
  int brain;
  Size rows, stride, room;
};
struct Tails {
  Tail each[2];
};

// Row y of the grid has tail y.
KERNEL void write_tails(Tails tails) {
  const Tail tail = tails.each[blockIdx.y];
  for (Size i = firstOfGrid(); i < tail.rows * tail.room; i += strideOfGrid()) {
    const Size row = i / tail.room, column = i % tail.room, other = column - tail.summed;
    float value = 0;
    if (other < 0) {
      for (Size part = 0; part < tail.count; part++) value += tail.parts[(part * tail.rows + row) * tail.summed + column];
    } else if (other < tail.columns) {
      value = tail.copied[row * tail.columns + other];
    }
    put(tail.to, tail.brain, row * tail.stride + column, value);
  }
}
