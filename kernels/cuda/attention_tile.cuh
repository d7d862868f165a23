// What the kernels of attention have in common: a warp has 16 tokens, its rows, and goes over others, its columns, whose numbers
// lie in shared memory. Products are of tiles (see tiles.cuh), on tensor cores where there are such.
#pragma once
#include "tiles.cuh"

constexpr int HEAD = 128;

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

// Whether query `query` and those after it see key `key` and those before it.
__device__ inline bool allSeen(const Attention& a, int query, int key) { return !a.segments && key <= query; }
__device__ inline bool sees(const Attention& a, int batch, int query, int key) {
  if (key > query || !a.segments) return key <= query;
  const int* segments = a.segments + (Size)batch * a.t;
  return query < a.t && segments[query] == segments[key];
}

// A lane's place in tiles: g and t of tiles.cuh.
struct Lane {
  int g, t;
};
__device__ inline Lane laneOf() { return {(int)threadIdx.x % 32 / 4, (int)threadIdx.x % 4}; }

// C numbers of TOKENS tokens, factors of products; so far apart that a warp's reads of tiles fall on all banks.
template <int TOKENS, int C>
struct alignas(16) Tokens {
  float numbers[TOKENS][C + 4];
};

// Numbers of tokens `first` …, 0 beyond the last and beyond a head's size. All THREADS of a block must call it. A thread has
// all of its reads under way before it needs the first.
template <bool TF32, int THREADS, int TOKENS, int C>
__device__ inline void read(Tokens<TOKENS, C>& tokens, const Head& head, const Attention& a, int first) {
  constexpr int EACH = TOKENS * C / 4 / THREADS;
  static_assert(EACH * THREADS * 4 == TOKENS * C);
  const bool aligned = a.c % 4 == 0;
  float4 fours[EACH];
#pragma unroll
  for (int i = 0; i < EACH; i++) {
    const int place = threadIdx.x + i * THREADS, token = first + place / (C / 4), number = place % (C / 4) * 4;
    fours[i] = {0, 0, 0, 0};
    if (token < a.t) fours[i] = fourOf(head.numbers + token * head.stride, number, a.c, 1, aligned);
  }
#pragma unroll
  for (int i = 0; i < EACH; i++) {
    const int place = threadIdx.x + i * THREADS;
    *(float4*)&tokens.numbers[place / (C / 4)][place % (C / 4) * 4] = {
        factorOf<TF32>(fours[i].x), factorOf<TF32>(fours[i].y), factorOf<TF32>(fours[i].z), factorOf<TF32>(fours[i].w)};
  }
}

// A warp's rows `row` … `row` + 15, times `scale`, as the left side of products, C deep.
template <int C>
struct Rows {
  float tiles[C / 8][4];
};

template <bool TF32, int C>
__device__ inline void readRows(Rows<C>& rows, const Head& head, const Attention& a, int row, float scale) {
  const Lane lane = laneOf();
#pragma unroll
  for (int k = 0; k < C / 8; k++) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int token = row + lane.g + i % 2 * 8, number = 8 * k + lane.t + i / 2 * 4;
      const float own = token < a.t && number < a.c ? head.numbers[token * head.stride + number] : 0;
      rows.tiles[k][i] = factorOf<TF32>(scale * own);
    }
  }
}

// scores = rows · columnsᵀ: 16 rows and 8 · N columns.
template <bool TF32, int C, int N>
__device__ inline void scoresOf(float (&scores)[N][4], const Rows<C>& rows, const Tokens<8 * N, C>& columns) {
  const Lane lane = laneOf();
#pragma unroll
  for (int j = 0; j < N; j++) {
#pragma unroll
    for (int i = 0; i < 4; i++) scores[j][i] = 0;
  }
#pragma unroll
  for (int k = 0; k < C / 8; k++) {
#pragma unroll
    for (int j = 0; j < N; j++) {
      const float* column = &columns.numbers[8 * j + lane.g][8 * k + lane.t];
      const float tile[2] = {column[0], column[4]};
      multiplyFactors<TF32>(scores[j], rows.tiles[k], tile);
    }
  }
}

// The same of rows that lie in shared memory, from its row `row` on.
template <bool TF32, int C, int N, int TOKENS>
__device__ inline void scoresOf(float (&scores)[N][4], const Tokens<TOKENS, C>& rows, int row,
                                const Tokens<8 * N, C>& columns) {
  const Lane lane = laneOf();
#pragma unroll
  for (int j = 0; j < N; j++) {
#pragma unroll
    for (int i = 0; i < 4; i++) scores[j][i] = 0;
  }
#pragma unroll 4
  for (int k = 0; k < C / 8; k++) {
    const float *upper = &rows.numbers[row + lane.g][8 * k + lane.t], *lower = upper + 8 * (C + 4);
    const float own[4] = {upper[0], lower[0], upper[4], lower[4]};
#pragma unroll
    for (int j = 0; j < N; j++) {
      const float* column = &columns.numbers[8 * j + lane.g][8 * k + lane.t];
      const float tile[2] = {column[0], column[4]};
      multiplyFactors<TF32>(scores[j], own, tile);
    }
  }
}

// sums += weights · columns. Weights lie as scores do: a lane's columns 2t and 2t + 1 are taken for numbers t and t + 4 of the
// depth, on both sides, so that they need not change places.
template <bool TF32, int C, int N>
__device__ inline void addWeighted(float (&sums)[C / 8][4], const float (&weights)[N][4],
                                   const Tokens<8 * N, C>& columns) {
  const Lane lane = laneOf();
#pragma unroll
  for (int j = 0; j < N; j++) {
    const float own[4] = {factorOf<TF32>(weights[j][0]), factorOf<TF32>(weights[j][2]), factorOf<TF32>(weights[j][1]),
                          factorOf<TF32>(weights[j][3])};
#pragma unroll
    for (int n = 0; n < C / 8; n++) {
      const float* column = &columns.numbers[8 * j + 2 * lane.t][8 * n + lane.g];
      const float tile[2] = {column[0], column[C + 4]};
      multiplyFactors<TF32>(sums[n], own, tile);
    }
  }
}

// Number i of a lane's part of a tile: its row and column.
__device__ inline int rowOf(const Lane& lane, int i) { return lane.g + i / 2 * 8; }
__device__ inline int columnOf(const Lane& lane, int i) { return 2 * lane.t + i % 2; }

template <int C>
__device__ inline void store(float* numbers, Size stride, const Attention& a, int row0, const float (&sums)[C / 8][4]) {
  const Lane lane = laneOf();
#pragma unroll
  for (int n = 0; n < C / 8; n++) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int row = row0 + rowOf(lane, i), column = 8 * n + columnOf(lane, i);
      if (row < a.t && column < a.c) numbers[row * stride + column] = sums[n][i];
    }
  }
}

// Over the four lanes of a row.
__device__ inline float largestOfRow(float value) {
  for (int lanes = 1; lanes < 4; lanes *= 2) value = fmaxf(value, __shfl_xor_sync(~0u, value, lanes));
  return value;
}
__device__ inline float sumOfRow(float value) {
  for (int lanes = 1; lanes < 4; lanes *= 2) value += __shfl_xor_sync(~0u, value, lanes);
  return value;
}
