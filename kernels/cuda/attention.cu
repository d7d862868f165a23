// Causal attention and its gradient, as FlashAttention-2 (arXiv 2307.08691) has them: no matrix of [t, t] is stored.
#include "attention_tile.cuh"

// A block has 64 queries of a head and goes over the keys in wide tiles, with the largest score and the sum of powers so
// far of each row. Powers are of 2: a.scale is the scale · log₂ e.
template <int ACROSS>
__device__ inline void attentionOf(const Attention& a, const float* q, const float* k, const float* v, float* y,
                                   float* logSumExp) {
  // A score of what is not seen. A row that has seen nothing yet counts such keys as if it saw them, until the factor of
  // its first real score, 2^(UNSEEN − score) = 0, takes them away.
  constexpr float UNSEEN = -1e30f;
  constexpr float LN_2 = 0.6931471805599453f;
  __shared__ Slices<ACROSS> slices;
  const int tx = threadIdx.x % ACROSS, ty = threadIdx.x / ACROSS, head = blockIdx.x, batch = blockIdx.y;
  // the last rows see most: they begin first
  const int row0 = (gridDim.z - 1 - blockIdx.z) * TILE, end = min(a.t, row0 + TILE);
  const int kvHead = head / (a.heads / a.kvHeads);
  const Head queries = headOf(q, a, a.heads, head, batch), keys = headOf(k, a, a.kvHeads, kvHead, batch),
             values = headOf(v, a, a.kvHeads, kvHead, batch);
  float sums[8][8] = {}, top[8], total[8];
  int own[8];
#pragma unroll
  for (int i = 0; i < 8; i++) {
    top[i] = UNSEEN;
    total[i] = 0;
    own[i] = segmentOf(a, batch, row0 + rowOf(ty, i));
  }
  for (int key0 = 0; key0 < end; key0 += 8 * ACROSS) {
    float p[8][8];
    scoresOf(p, slices, a, queries, row0, keys, key0, tx, ty);
    int others[8];
#pragma unroll
    for (int j = 0; j < 8; j++) others[j] = segmentOf(a, batch, key0 + columnOf<ACROSS>(tx, j));
#pragma unroll
    for (int i = 0; i < 8; i++) {
      const int row = row0 + rowOf(ty, i);
      float most = top[i], powers = 0;
#pragma unroll
      for (int j = 0; j < 8; j++) {
        const bool seen = key0 + columnOf<ACROSS>(tx, j) <= row && others[j] == own[i];
        p[i][j] = seen ? a.scale * p[i][j] : UNSEEN;
        most = fmaxf(most, p[i][j]);
      }
      most = largestOfRow<ACROSS>(most);
      const float factor = exp2f(top[i] - most);
      top[i] = most;
#pragma unroll
      for (int j = 0; j < 8; j++) {
        p[i][j] = exp2f(p[i][j] - most);
        powers += p[i][j];
        sums[i][j] *= factor;
      }
      total[i] = total[i] * factor + powers;
    }
    addWeighted(sums, p, slices, a, values, key0, end, tx, ty);
  }
#pragma unroll
  for (int i = 0; i < 8; i++) {
    const int row = row0 + rowOf(ty, i);
    const float all = sumOfRow<ACROSS>(total[i]);
#pragma unroll
    for (int j = 0; j < 8; j++) sums[i][j] /= all;
    if (tx == 0 && row < a.t) {
      logSumExp[((Size)batch * a.heads + head) * a.t + row] = LN_2 * (top[i] + log2f(all));
    }
  }
  const Size stride = queries.stride;
  store<ACROSS>(y + batch * a.t * stride + (Size)head * a.c, stride, a, row0, tx, ty, sums);
}

KERNEL void __launch_bounds__(64)
    attention_64(Attention a, const float* q, const float* k, const float* v, float* y, float* logSumExp) {
  attentionOf<8>(a, q, k, v, y, logSumExp);
}
KERNEL void __launch_bounds__(128)
    attention_128(Attention a, const float* q, const float* k, const float* v, float* y, float* logSumExp) {
  attentionOf<16>(a, q, k, v, y, logSumExp);
}

// dots[b, h, t] = Σ dy · y of head h of token t, both [b, t, heads, c]: a warp a head.
KERNEL void attention_dots(const float* dy, const float* y, float* dots, Size size, Size t, Size heads,
                                          int c) {
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

// The gradient by q, k or v: a block has 64 tokens of a head of q and goes over those that they see, or of k and v and goes
// over those that see them, in narrow tiles whose scores it makes again.
//   by q (rows q, columns k): scale · dS k      by k (rows k, columns q): scale · dSᵀ q
//   by v (rows k, columns q): Pᵀ dy
// P = exp(scale · rows · columnsᵀ − logSumExp), dS = P · (dP − dots), dP = dy vᵀ, or v dyᵀ.
// Of k and v, what heads h of q share them, the h-th of these writes part h of the output, to be added up by sum_parts.
template <int ACROSS, Of OF>
__device__ inline void attentionGradOf(const Attention& a, const float* q, const float* k, const float* v,
                                       const float* dy, const float* logSumExp, const float* dots, float* output) {
  constexpr float LOG2_E = 1.4426950408889634f;
  constexpr bool KEYS = OF != Q;
  __shared__ Slices<ACROSS> slices;
  const int tx = threadIdx.x % ACROSS, ty = threadIdx.x / ACROSS, head = blockIdx.x, batch = blockIdx.y;
  const int share = a.heads / a.kvHeads, kvHead = head / share;
  // the first keys are seen by most, the last queries see most: they begin first
  const int row0 = (KEYS ? blockIdx.z : gridDim.z - 1 - blockIdx.z) * TILE;
  const int begin = KEYS ? row0 : 0, end = KEYS ? a.t : min(a.t, row0 + TILE);
  const Head ofQ = headOf(q, a, a.heads, head, batch), ofK = headOf(k, a, a.kvHeads, kvHead, batch),
             ofV = headOf(v, a, a.kvHeads, kvHead, batch), ofDy = headOf(dy, a, a.heads, head, batch);
  const Head rows = KEYS ? ofK : ofQ, columns = KEYS ? ofQ : ofK, gradRows = KEYS ? ofV : ofDy,
             gradColumns = KEYS ? ofDy : ofV;
  const float* logs = logSumExp + ((Size)batch * a.heads + head) * a.t;
  const float* ownDots = dots + ((Size)batch * a.heads + head) * a.t;
  float sums[8][8] = {};
  for (int column0 = begin; column0 < end; column0 += 4 * ACROSS) {
    float p[8][4];
    scoresOf(p, slices, a, rows, row0, columns, column0, tx, ty);
    float gradients[8][4];
    if (OF != V) scoresOf(gradients, slices, a, gradRows, row0, gradColumns, column0, tx, ty);
#pragma unroll
    for (int i = 0; i < 8; i++) {
#pragma unroll
      for (int j = 0; j < 4; j++) {
        const int row = row0 + rowOf(ty, i), column = column0 + columnOf<ACROSS>(tx, j);
        const int query = KEYS ? column : row, key = KEYS ? row : column;
        const bool seen = key <= query && query < a.t && segmentOf(a, batch, row) == segmentOf(a, batch, column);
        float weight = 0;
        if (seen) {
          weight = exp2f(LOG2_E * (a.scale * p[i][j] - logs[query]));
          if (OF != V) weight *= gradients[i][j] - ownDots[query];
        }
        p[i][j] = weight;
      }
    }
    addWeighted(sums, p, slices, a, OF == V ? gradColumns : columns, column0, end, tx, ty);
  }
  if (OF != V) {
#pragma unroll
    for (int i = 0; i < 8; i++) {
#pragma unroll
      for (int j = 0; j < 8; j++) sums[i][j] *= a.scale;
    }
  }
  const Size part = KEYS ? head % share * gridDim.y * a.t * rows.stride : 0;
  const Size start = batch * a.t * rows.stride + (Size)(KEYS ? kvHead : head) * a.c;
  store<ACROSS>(output + part + start, rows.stride, a, row0, tx, ty, sums);
}

#define GRADIENT(name, across, of)                                                                              \
  KERNEL void __launch_bounds__(8 * across)                                                      \
      name(Attention a, const float* q, const float* k, const float* v, const float* dy, const float* logSumExp, \
           const float* dots, float* output) {                                                                  \
    attentionGradOf<across, of>(a, q, k, v, dy, logSumExp, dots, output);                                       \
  }
GRADIENT(attention_grad_q_64, 8, Q)
GRADIENT(attention_grad_k_64, 8, K)
GRADIENT(attention_grad_v_64, 8, V)
GRADIENT(attention_grad_q_128, 16, Q)
GRADIENT(attention_grad_k_128, 16, K)
GRADIENT(attention_grad_v_128, 16, V)
#undef GRADIENT
