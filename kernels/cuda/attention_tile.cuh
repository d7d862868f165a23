// What the kernels of attention have in common: products of tiles.
//
// A block of 8 · ACROSS threads makes tiles of 64 rows and 4 · ACROSS columns, or 8 · ACROSS if they are wide. Thread
// (tx, ty) has their rows 4 ty + 0 … 3 and 32 + 4 ty + 0 … 3, and columns 4 tx + 0 … 3 and, of a wide one, 4 ACROSS + 4 tx
// + 0 … 3. A product's depth goes through shared memory in slices of 16. ACROSS is 8 for heads of up to 64 numbers, else 16.
#pragma once
#include "common.cuh"

constexpr int TILE = 64, SLICE = 16, HEAD = 128;

// What the kernels of one attention have in common.
struct Attention {
  int t, c, heads, kvHeads;
  float scale;
  const int* segments;  // [b, t], or null
};

// One head of [b, t, heads, c]: its numbers of token i begin at i · stride.
struct Head {
  const float* numbers;
  Size stride;
};

__device__ inline Head headOf(const float* numbers, const Attention& a, int heads, int head, int batch) {
  const Size stride = (Size)heads * a.c;
  return {numbers + batch * a.t * stride + (Size)head * a.c, stride};
}

// Aligned, so that four neighbours are one load.
template <int ACROSS>
struct alignas(16) Slices {
  float left[SLICE][TILE + 4], right[SLICE][8 * ACROSS + 4];
};

__device__ inline void loadFour(float* to, const float* from) {
  const float4 four = *reinterpret_cast<const float4*>(from);
  to[0] = four.x;
  to[1] = four.y;
  to[2] = four.z;
  to[3] = four.w;
}

__device__ inline int rowOf(int ty, int i) { return 4 * ty + (i < 4 ? i : 28 + i); }
template <int ACROSS>
__device__ inline int columnOf(int tx, int j) {
  return 4 * tx + (j < 4 ? j : 4 * ACROSS - 4 + j);
}

// to[k][row] = number `from` + k of token `first` + row, 0 beyond the last of either.
template <int ACROSS, int WIDTH>
__device__ inline void readTurned(float (*to)[WIDTH], int rows, const Head& head, const Attention& a, int first,
                                  int from) {
  for (int i = threadIdx.x; i < rows * SLICE; i += 8 * ACROSS) {
    const int row = i / SLICE, k = i % SLICE;
    const bool exists = first + row < a.t && from + k < a.c;
    to[k][row] = exists ? head.numbers[(first + row) * head.stride + from + k] : 0;
  }
}

// to[k][column] = number `column` of token `first` + k, 0 beyond the last of either.
template <int ACROSS, int WIDTH>
__device__ inline void readPlain(float (*to)[WIDTH], const Head& head, const Attention& a, int first) {
  for (int i = threadIdx.x; i < 8 * ACROSS * SLICE; i += 8 * ACROSS) {
    const int k = i / (8 * ACROSS), column = i % (8 * ACROSS);
    const bool exists = first + k < a.t && column < a.c;
    to[k][column] = exists ? head.numbers[(first + k) * head.stride + column] : 0;
  }
}

// Adds the product of the slices; COLUMNS a thread: 4 of a narrow tile, 8 of a wide one.
template <int ACROSS, int COLUMNS>
__device__ inline void multiply(float (&sums)[8][COLUMNS], const Slices<ACROSS>& slices, int tx, int ty) {
#pragma unroll 2
  for (int k = 0; k < SLICE; k++) {
    float left[8], right[COLUMNS];
    loadFour(left, &slices.left[k][4 * ty]);
    loadFour(left + 4, &slices.left[k][4 * ty + 32]);
#pragma unroll
    for (int j = 0; j < COLUMNS; j += 4) loadFour(right + j, &slices.right[k][columnOf<ACROSS>(tx, j)]);
#pragma unroll
    for (int i = 0; i < 8; i++) {
#pragma unroll
      for (int j = 0; j < COLUMNS; j++) sums[i][j] += left[i] * right[j];
    }
  }
}

// sums = rows · columnsᵀ of tokens row0 … and column0 …
template <int ACROSS, int COLUMNS>
__device__ inline void scoresOf(float (&sums)[8][COLUMNS], Slices<ACROSS>& slices, const Attention& a, const Head& rows,
                                int row0, const Head& columns, int column0, int tx, int ty) {
#pragma unroll
  for (int i = 0; i < 8; i++) {
#pragma unroll
    for (int j = 0; j < COLUMNS; j++) sums[i][j] = 0;
  }
  for (int k = 0; k < a.c; k += SLICE) {
    __syncthreads();
    readTurned<ACROSS>(slices.left, TILE, rows, a, row0, k);
    readTurned<ACROSS>(slices.right, COLUMNS * ACROSS, columns, a, column0, k);
    __syncthreads();
    multiply(sums, slices, tx, ty);
  }
}

// sums += weights · columns, weights a tile of rows and of tokens column0 …, before `end`.
template <int ACROSS, int COLUMNS>
__device__ inline void addWeighted(float (&sums)[8][8], float (&weights)[8][COLUMNS], Slices<ACROSS>& slices,
                                   const Attention& a, const Head& columns, int column0, int end, int tx, int ty) {
  for (int slice = 0; slice < COLUMNS * ACROSS / SLICE && column0 + SLICE * slice < end; slice++) {
    __syncthreads();
#pragma unroll
    for (int j = 0; j < COLUMNS; j++) {
      const int column = columnOf<ACROSS>(tx, j) - SLICE * slice;
      if (column < 0 || column >= SLICE) continue;
#pragma unroll
      for (int i = 0; i < 8; i++) slices.left[column][rowOf(ty, i)] = weights[i][j];
    }
    readPlain<ACROSS>(slices.right, columns, a, column0 + SLICE * slice);
    __syncthreads();
    multiply(sums, slices, tx, ty);
  }
}

template <int ACROSS>
__device__ inline void store(float* numbers, Size stride, const Attention& a, int row0, int tx, int ty,
                             const float (&tile)[8][8]) {
#pragma unroll
  for (int i = 0; i < 8; i++) {
    const int row = row0 + rowOf(ty, i);
#pragma unroll
    for (int j = 0; j < 8; j++) {
      const int column = columnOf<ACROSS>(tx, j);
      if (row < a.t && column < a.c) numbers[row * stride + column] = tile[i][j];
    }
  }
}

__device__ inline int segmentOf(const Attention& a, int batch, int token) {
  return a.segments ? a.segments[(Size)batch * a.t + min(token, a.t - 1)] : 0;
}

// Over the ACROSS threads of a row, which are neighbours.
template <int ACROSS>
__device__ inline float largestOfRow(float value) {
  for (int lanes = ACROSS / 2; lanes > 0; lanes /= 2) value = fmaxf(value, __shfl_xor_sync(~0u, value, lanes));
  return value;
}
template <int ACROSS>
__device__ inline float sumOfRow(float value) {
  for (int lanes = ACROSS / 2; lanes > 0; lanes /= 2) value += __shfl_xor_sync(~0u, value, lanes);
  return value;
}
