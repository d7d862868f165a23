// Causal attention and its gradient, as FlashAttention-2 (arXiv 2307.08691) has them: no matrix of [t, t] is stored.
#include "attention_tile.cuh"

constexpr float LOG2_E = 1.4426950408889634f, LN_2 = 0.6931471805599453f;

// Warps of a block.
constexpr int WARPS = 4;

// A block has 64 queries of a head and goes over the keys, 32 or 16 at a time, with the largest score and the sum of powers
// so far of each row. Powers are of 2.
template <int C, bool TF32>
__device__ inline void attentionOf(const Attention& a, const float* q, const float* k, const float* v, float* y,
                                   float* logSumExp) {
  // A score of what is not seen. A row that has seen nothing yet counts such keys as if it saw them, until the factor of
  // its first real score, 2^(UNSEEN − score) = 0, takes them away.
  constexpr float UNSEEN = -1e30f;
  // in float32 heads of 128 numbers leave no registers for more: 1.80 ms, not 2.35 (H100, 8 texts of 1024 tokens, 32 heads)
  constexpr int N = TF32 || C == 64 ? 4 : 2;
  __shared__ Tokens<8 * N, C> keys, values;
  const Lane lane = laneOf();
  const int head = blockIdx.x, batch = blockIdx.y, kvHead = head / (a.heads / a.kvHeads);
  // the last rows see most: they begin first
  const int block0 = (gridDim.z - 1 - blockIdx.z) * 16 * WARPS, end = min(a.t, block0 + 16 * WARPS);
  const int row0 = block0 + (int)threadIdx.x / 32 * 16;
  const Head ofQ = headOf(q, a, a.heads, head, batch), ofK = headOf(k, a, a.kvHeads, kvHead, batch),
             ofV = headOf(v, a, a.kvHeads, kvHead, batch);
  Rows<C> queries;
  readRows<TF32>(queries, ofQ, a, row0, LOG2_E * a.scale);
  float sums[C / 8][4] = {}, top[2] = {UNSEEN, UNSEEN}, total[2] = {};
  for (int key0 = 0; key0 < end; key0 += 8 * N) {
    __syncthreads();
    read<TF32, 32 * WARPS>(keys, ofK, a, key0);
    read<TF32, 32 * WARPS>(values, ofV, a, key0);
    __syncthreads();
    if (key0 > row0 + 15) continue;
    float p[N][4];
    scoresOf<TF32>(p, queries, keys);
    if (!allSeen(a, row0, key0 + 8 * N - 1)) {
#pragma unroll
      for (int j = 0; j < N; j++) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
          if (!sees(a, batch, row0 + rowOf(lane, i), key0 + 8 * j + columnOf(lane, i))) p[j][i] = UNSEEN;
        }
      }
    }
    float most[2] = {top[0], top[1]};
#pragma unroll
    for (int j = 0; j < N; j++) {
#pragma unroll
      for (int i = 0; i < 4; i++) most[i / 2] = fmaxf(most[i / 2], p[j][i]);
    }
#pragma unroll
    for (int h = 0; h < 2; h++) {
      most[h] = largestOfRow(most[h]);
      const float factor = exp2f(top[h] - most[h]);
      top[h] = most[h];
      total[h] *= factor;
#pragma unroll
      for (int n = 0; n < C / 8; n++) {
        sums[n][2 * h] *= factor;
        sums[n][2 * h + 1] *= factor;
      }
    }
#pragma unroll
    for (int j = 0; j < N; j++) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        p[j][i] = exp2f(p[j][i] - most[i / 2]);
        total[i / 2] += p[j][i];
      }
    }
    addWeighted<TF32, C>(sums, p, values);
  }
#pragma unroll
  for (int h = 0; h < 2; h++) {
    const int row = row0 + lane.g + 8 * h;
    const float all = sumOfRow(total[h]);
#pragma unroll
    for (int n = 0; n < C / 8; n++) {
      sums[n][2 * h] /= all;
      sums[n][2 * h + 1] /= all;
    }
    if (lane.t == 0 && row < a.t) logSumExp[((Size)batch * a.heads + head) * a.t + row] = LN_2 * (top[h] + log2f(all));
  }
  store<C>(y + batch * a.t * ofQ.stride + (Size)head * a.c, ofQ.stride, a, row0, sums);
}

// dots[b, h, t] = Σ dy · y of head h of token t, both [b, t, heads, c]: a warp a head.
KERNEL void attention_dots(const float* dy, const float* y, float* dots, Size size, Size t, Size heads, int c) {
  const Size i = firstOfGrid() / 32;
  float sum = 0;
  if (i < size) {
    for (int x = threadIdx.x % 32; x < c; x += 32) sum += dy[i * c + x] * y[i * c + x];
  }
  for (int lanes = 16; lanes > 0; lanes /= 2) sum += __shfl_xor_sync(~0u, sum, lanes);
  if (i >= size || threadIdx.x % 32 > 0) return;
  const Size token = i / heads;
  dots[(token / t * heads + i % heads) * t + token % t] = sum;
}

enum Of { Q, K, V };

// Warps of a block, and tiles of 8 columns that it takes at a time. Those of heads of 128 numbers take much shared memory.
__device__ constexpr int warpsOf(int c, Of of) { return c == 64 || of == V ? 4 : 2; }
__device__ constexpr int tilesOf(int c) { return c == 64 ? 4 : 2; }

// Rows of dy or v, which only the gradients by q and k need.
template <int TOKENS, int C, bool NEEDED>
struct GradRows {
  Tokens<TOKENS, C> rows;
};
template <int TOKENS, int C>
struct GradRows<TOKENS, C, false> {};

// The gradient by q, k or v: a warp has 16 tokens of a head of q and goes over those that they see, or of k and v and goes
// over those that see them, whose scores it makes again.
//   by q (rows q, columns k): scale · dS k      by k (rows k, columns q): scale · dSᵀ q
//   by v (rows k, columns q): Pᵀ dy
// P = exp(scale · rows · columnsᵀ − logSumExp), dS = P · (dP − dots), dP = dy vᵀ, or v dyᵀ.
// Of k and v, what heads h of q share them, the h-th of these writes part h of the output, to be added up by sum_parts.
template <int C, bool TF32, Of OF>
__device__ inline void attentionGradOf(const Attention& a, const float* q, const float* k, const float* v,
                                       const float* dy, const float* logSumExp, const float* dots, float* output) {
  constexpr bool KEYS = OF != Q;
  constexpr int N = tilesOf(C), THREADS = 32 * warpsOf(C, OF), ROWS = THREADS / 2;
  __shared__ Tokens<8 * N, C> columns, gradColumns;
  __shared__ GradRows<ROWS, C, OF != V> gradRows;
  __shared__ float columnLogs[8 * N], columnDots[8 * N];
  const Lane lane = laneOf();
  const int head = blockIdx.x, batch = blockIdx.y, share = a.heads / a.kvHeads, kvHead = head / share;
  // the first keys are seen by most, the last queries see most: they begin first
  const int block0 = (KEYS ? blockIdx.z : gridDim.z - 1 - blockIdx.z) * ROWS;
  const int begin = KEYS ? block0 : 0, end = KEYS ? a.t : min(a.t, block0 + ROWS);
  const int warp0 = (int)threadIdx.x / 32 * 16, row0 = block0 + warp0;
  const Head ofQ = headOf(q, a, a.heads, head, batch), ofK = headOf(k, a, a.kvHeads, kvHead, batch),
             ofV = headOf(v, a, a.kvHeads, kvHead, batch), ofDy = headOf(dy, a, a.heads, head, batch);
  const Head ofRows = KEYS ? ofK : ofQ, ofColumns = KEYS ? ofQ : ofK, ofGradColumns = KEYS ? ofDy : ofV;
  const float* headLogs = logSumExp + ((Size)batch * a.heads + head) * a.t;
  const float* headDots = dots + ((Size)batch * a.heads + head) * a.t;
  // of a query beyond the last, every power is 0
  const auto logOf = [&](int query) { return query < a.t ? LOG2_E * headLogs[query] : INFINITY; };
  const auto dotOf = [&](int query) { return query < a.t ? headDots[query] : 0; };
  Rows<C> rows;
  readRows<TF32>(rows, ofRows, a, row0, LOG2_E * a.scale);
  if constexpr (OF != V) read<TF32, THREADS>(gradRows.rows, KEYS ? ofV : ofDy, a, block0);
  float logs[2], ownDots[2], sums[C / 8][4] = {};
#pragma unroll
  for (int h = 0; h < 2 && !KEYS; h++) {
    logs[h] = logOf(row0 + lane.g + 8 * h);
    ownDots[h] = dotOf(row0 + lane.g + 8 * h);
  }
  for (int column0 = begin; column0 < end; column0 += 8 * N) {
    __syncthreads();
    read<TF32, THREADS>(columns, ofColumns, a, column0);
    read<TF32, THREADS>(gradColumns, ofGradColumns, a, column0);
    if (KEYS && threadIdx.x < 8 * N) {
      columnLogs[threadIdx.x] = logOf(column0 + threadIdx.x);
      columnDots[threadIdx.x] = dotOf(column0 + threadIdx.x);
    }
    __syncthreads();
    // nothing is seen
    if (KEYS ? column0 + 8 * N - 1 < row0 : column0 > row0 + 15) continue;
    float p[N][4], gradients[N][4];
    scoresOf<TF32>(p, rows, columns);
    if constexpr (OF != V) scoresOf<TF32>(gradients, gradRows.rows, warp0, gradColumns);
    if (!(KEYS ? allSeen(a, column0, row0 + 15) : allSeen(a, row0, column0 + 8 * N - 1))) {
#pragma unroll
      for (int j = 0; j < N; j++) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
          const int row = row0 + rowOf(lane, i), column = column0 + 8 * j + columnOf(lane, i);
          if (!(KEYS ? sees(a, batch, column, row) : sees(a, batch, row, column))) p[j][i] = -INFINITY;
        }
      }
    }
#pragma unroll
    for (int j = 0; j < N; j++) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const int column = 8 * j + columnOf(lane, i);
        p[j][i] = exp2f(p[j][i] - (KEYS ? columnLogs[column] : logs[i / 2]));
        if constexpr (OF != V) p[j][i] *= gradients[j][i] - (KEYS ? columnDots[column] : ownDots[i / 2]);
      }
    }
    addWeighted<TF32, C>(sums, p, OF == V ? gradColumns : columns);
  }
  if (OF != V) {
#pragma unroll
    for (int n = 0; n < C / 8; n++) {
#pragma unroll
      for (int i = 0; i < 4; i++) sums[n][i] *= a.scale;
    }
  }
  const Size part = KEYS ? head % share * gridDim.y * a.t * ofRows.stride : 0;
  const Size start = batch * a.t * ofRows.stride + (Size)(KEYS ? kvHead : head) * a.c;
  store<C>(output + part + start, ofRows.stride, a, row0, sums);
}

#define GRADIENT(name, c, tf32, of)                                                                              \
  KERNEL void __launch_bounds__(32 * warpsOf(c, of))                                                             \
      name(Attention a, const float* q, const float* k, const float* v, const float* dy, const float* logSumExp, \
           const float* dots, float* output) {                                                                   \
    attentionGradOf<c, tf32, of>(a, q, k, v, dy, logSumExp, dots, output);                                       \
  }
#define KERNELS(suffix, c, tf32)                                                                                   \
  KERNEL void __launch_bounds__(32 * WARPS) attention_##suffix(Attention a, const float* q, const float* k,        \
                                                               const float* v, float* y, float* logSumExp) {       \
    attentionOf<c, tf32>(a, q, k, v, y, logSumExp);                                                                \
  }                                                                                                                \
  GRADIENT(attention_grad_q_##suffix, c, tf32, Q)                                                                  \
  GRADIENT(attention_grad_k_##suffix, c, tf32, K)                                                                  \
  GRADIENT(attention_grad_v_##suffix, c, tf32, V)
KERNELS(64, 64, false)
KERNELS(128, 128, false)
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
KERNELS(64_tf32, 64, true)
KERNELS(128_tf32, 128, true)
#endif
#undef KERNELS
#undef GRADIENT
