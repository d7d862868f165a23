#include "skinny.h"

#include <algorithm>

#include "skinny.cu"

namespace {

// Blocks that keep a GPU's memory busy: three for each of the 132 multiprocessors of an H200, which fit into them at once.
constexpr int64_t BLOCKS = 3 * 132;

struct Split {
  int64_t length, count;
};

// The inner side in parts, each a multiple of `step` and at most `most` of them, so that there are blocks enough.
Split splitOf(int64_t side, int64_t step, int64_t blocks, int64_t least, int64_t most) {
  const int64_t wanted = std::max<int64_t>(1, BLOCKS / std::max<int64_t>(1, blocks));
  const int64_t steps = (side + step - 1) / step;
  const int64_t each = std::min(most, std::max(least, (steps + wanted - 1) / wanted));
  return {each * step, std::max<int64_t>(1, (steps + each - 1) / each)};
}

// c(i, j) = c[i · strideM + j · strideN] for i < m, j < n.
void addUp(Call& call, PartialSums parts, int64_t m, int64_t n, float alpha, float* c, int64_t strideM, int64_t strideN) {
  LAUNCH(call, sum_skinny, call.blocksFor(m * n), {BLOCK}, parts.numbers, c, parts.count, m * n, n, alpha, strideM,
         strideN);
}

PartialSums rowsTimes(Call& call, int64_t m, int64_t n, int64_t k, const float* a, Matrix b, const KeptColumns& kept) {
  using namespace skinny;
  const int64_t blocks = (m + ROWS - 1) / ROWS;
  const Split split = splitOf(k, DEPTH, blocks, 2, LONGEST / DEPTH);
  float* parts = call.temporary({split.count, m, n});
  LAUNCH(call, skinny_rows, {blocks, split.count}, {256}, a, b.numbers, parts, m, k, n, b.turned ? 1 : b.stride,
         b.turned ? b.stride : 1, split.length, kept);
  return {parts, split.count};
}

// bigᵀ · small for big [rows, m] and small [rows, n].
void columnsTimes(Call& call, int64_t rows, int64_t m, int64_t n, float alpha, const float* big, const float* small,
                  float* c, int64_t strideM, int64_t strideN) {
  const int64_t blocks = (m + BLOCK - 1) / BLOCK;
  const Split split = splitOf(rows, skinny::STEP, blocks, 4, INT32_MAX);
  float* parts = call.temporary({split.count, m, n});
  LAUNCH(call, skinny_columns, {blocks, split.count}, {BLOCK}, big, small, parts, rows, m, n, split.length);
  addUp(call, {parts, split.count}, m, n, alpha, c, strideM, strideN);
}

}  // namespace

void multiplySkinny(Call& call, int64_t m, int64_t n, int64_t k, float alpha, Matrix a, Matrix b, float* c,
                    int64_t strideC, bool tf32) {
  // large matrices without gaps between their rows
  if (n <= skinny::WIDTH && !a.turned && a.stride == k) {
    addUp(call, rowsTimes(call, m, n, k, a.numbers, b, {}), m, n, alpha, c, strideC, 1);
  } else if (n <= skinny::WIDTH && a.turned && !b.turned && a.stride == m && b.stride == n) {
    columnsTimes(call, k, m, n, alpha, a.numbers, b.numbers, c, strideC, 1);
  } else if (m <= skinny::WIDTH && a.turned && !b.turned && a.stride == m && b.stride == n) {
    columnsTimes(call, k, n, m, alpha, b.numbers, a.numbers, c, 1, strideC);
  } else {
    call.multiply(m, n, k, alpha, a, b, 0, c, strideC, tf32);
  }
}

PartialSums keepAndMultiply(Call& call, int64_t m, int64_t n, int64_t k, const float* a, Matrix b, bool tf32,
                      const KeptColumns& kept) {
  if (n <= skinny::WIDTH) return rowsTimes(call, m, n, k, a, b, kept);
  rowsTimes(call, m, 0, k, a, b, kept);
  float* product = call.temporary({m, n});
  call.multiply(m, n, k, 1, {a, k}, b, 0, product, n, tf32);
  return {product, 1};
}
