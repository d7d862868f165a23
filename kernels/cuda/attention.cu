// Causal attention and its gradient, as FlashAttention-2 (arXiv 2307.08691) has them: no matrix of [t, t] is stored.
#include "attention_tile.cuh"

// Warps of a block. A warp of a gradient with heads of 128 numbers takes more of a multiprocessor's memory.
constexpr int WARPS = 4;
__device__ constexpr int warpsOfGradient(int c) { return c == 64 ? 4 : 2; }

// A block has 64 queries of a head and goes over the keys, 32 at a time, with the largest score and the sum of powers so far of
// each row. Powers are of 2: a.scale is the scale · log₂ e.
template <int C>
__device__ inline void attentionOf(const Attention& a, const float* q, const float* k, const float* v, float* y,
                                   float* logSumExp) {
  // A score of what is not seen. A row that has seen nothing yet counts such keys as if it saw them, until the factor of
  // its first real score, 2^(UNSEEN − score) = 0, takes them away.
  constexpr float UNSEEN = -1e30f;
  constexpr float LN_2 = 0.6931471805599453f;
  constexpr int N = 4;
  __shared__ Tokens<8 * N, C> keys, values;
  const Lane lane = laneOf();
  const int head = blockIdx.x, batch = blockIdx.y, kvHead = head / (a.heads / a.kvHeads);
  // the last rows see most: they begin first
  const int block0 = (gridDim.z - 1 - blockIdx.z) * 16 * WARPS, end = min(a.t, block0 + 16 * WARPS);
  const int row0 = block0 + (int)threadIdx.x / 32 * 16;
  const Head ofQ = headOf(q, a, a.heads, head, batch), ofK = headOf(k, a, a.kvHeads, kvHead, batch),
             ofV = headOf(v, a, a.kvHeads, kvHead, batch);
  Rows<C> queries;
  readRows(queries, ofQ, a, row0);
  float sums[C / 8][4] = {}, top[2] = {UNSEEN, UNSEEN}, total[2] = {};
  const int own[2] = {segmentOf(a, batch, row0 + lane.g), segmentOf(a, batch, row0 + lane.g + 8)};
  for (int key0 = 0; key0 < end; key0 += 8 * N) {
    __syncthreads();
    read(keys, ofK, a, key0);
    read(values, ofV, a, key0);
    __syncthreads();
    if (key0 > row0 + 15) continue;
    float p[N][4];
    scoresOf(p, queries, keys);
    float most[2] = {top[0], top[1]};
#pragma unroll
    for (int j = 0; j < N; j++) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const int key = key0 + 8 * j + columnOf(lane, i);
        const bool seen = key <= row0 + rowOf(lane, i) && segmentOf(a, batch, key) == own[i / 2];
        p[j][i] = seen ? a.scale * p[j][i] : UNSEEN;
        most[i / 2] = fmaxf(most[i / 2], p[j][i]);
      }
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
    addWeighted<C>(sums, p, values);
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

KERNEL void __launch_bounds__(32 * WARPS)
    attention_64(Attention a, const float* q, const float* k, const float* v, float* y, float* logSumExp) {
  attentionOf<64>(a, q, k, v, y, logSumExp);
}
KERNEL void __launch_bounds__(32 * WARPS)
    attention_128(Attention a, const float* q, const float* k, const float* v, float* y, float* logSumExp) {
  attentionOf<128>(a, q, k, v, y, logSumExp);
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
template <int C, Of OF>
__device__ inline void attentionGradOf(const Attention& a, const float* q, const float* k, const float* v,
                                       const float* dy, const float* logSumExp, const float* dots, float* output) {
  constexpr float LOG2_E = 1.4426950408889634f;
  constexpr bool KEYS = OF != Q;
  constexpr int N = C == 64 ? 4 : 2, ROWS = 16 * warpsOfGradient(C);
  __shared__ Tokens<8 * N, C> columns, gradColumns;
  __shared__ GradRows<ROWS, C, OF != V> gradRows;
  const Lane lane = laneOf();
  const int head = blockIdx.x, batch = blockIdx.y, share = a.heads / a.kvHeads, kvHead = head / share;
  // the first keys are seen by most, the last queries see most: they begin first
  const int block0 = (KEYS ? blockIdx.z : gridDim.z - 1 - blockIdx.z) * ROWS;
  const int begin = KEYS ? block0 : 0, end = KEYS ? a.t : min(a.t, block0 + ROWS);
  const int warp0 = (int)threadIdx.x / 32 * 16, row0 = block0 + warp0;
  const Head ofQ = headOf(q, a, a.heads, head, batch), ofK = headOf(k, a, a.kvHeads, kvHead, batch),
             ofV = headOf(v, a, a.kvHeads, kvHead, batch), ofDy = headOf(dy, a, a.heads, head, batch);
  const Head ofRows = KEYS ? ofK : ofQ, ofColumns = KEYS ? ofQ : ofK, ofGradColumns = KEYS ? ofDy : ofV;
  const float* logs = logSumExp + ((Size)batch * a.heads + head) * a.t;
  const float* ownDots = dots + ((Size)batch * a.heads + head) * a.t;
  Rows<C> rows;
  readRows(rows, ofRows, a, row0);
  if constexpr (OF != V) read(gradRows.rows, KEYS ? ofV : ofDy, a, block0);
  float sums[C / 8][4] = {};
  for (int column0 = begin; column0 < end; column0 += 8 * N) {
    __syncthreads();
    read(columns, ofColumns, a, column0);
    read(gradColumns, ofGradColumns, a, column0);
    __syncthreads();
    // nothing is seen
    if (KEYS ? column0 + 8 * N - 1 < row0 : column0 > row0 + 15) continue;
    float p[N][4], gradients[N][4];
    scoresOf(p, rows, columns);
    if constexpr (OF != V) scoresOf(gradients, gradRows.rows, warp0, gradColumns);
#pragma unroll
    for (int j = 0; j < N; j++) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const int row = row0 + rowOf(lane, i), column = column0 + 8 * j + columnOf(lane, i);
        const int query = KEYS ? column : row, key = KEYS ? row : column;
        const bool seen = key <= query && query < a.t && segmentOf(a, batch, row) == segmentOf(a, batch, column);
        float weight = 0;
        if (seen) {
          weight = exp2f(LOG2_E * (a.scale * p[j][i] - logs[query]));
          if constexpr (OF != V) weight *= gradients[j][i] - ownDots[query];
        }
        p[j][i] = weight;
      }
    }
    addWeighted<C>(sums, p, OF == V ? gradColumns : columns);
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

#define GRADIENT(name, c, of)                                                                                    \
  KERNEL void __launch_bounds__(32 * warpsOfGradient(c))                                                         \
      name(Attention a, const float* q, const float* k, const float* v, const float* dy, const float* logSumExp, \
           const float* dots, float* output) {                                                                   \
    attentionGradOf<c, of>(a, q, k, v, dy, logSumExp, dots, output);                                             \
  }
GRADIENT(attention_grad_q_64, 64, Q)
GRADIENT(attention_grad_k_64, 64, K)
GRADIENT(attention_grad_v_64, 64, V)
GRADIENT(attention_grad_q_128, 128, Q)
GRADIENT(attention_grad_k_128, 128, K)
GRADIENT(attention_grad_v_128, 128, V)
#undef GRADIENT
