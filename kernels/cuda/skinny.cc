#include "skinny.h"

#include <algorithm>

#include "skinny.cu"

namespace {

// Blocks that keep a GPU's memory busy: three for each of the 132 multiprocessors of an H200, which fit into them at once.
constexpr int64_t BLOCKS = 3 * 132;

struct Parts {
  int64_t length, count;
};

// The inner side in parts, each a multiple of `step`, so that there are blocks enough.
Parts partsOf(int64_t side, int64_t step, int64_t blocks) {
  const int64_t wanted = std::max<int64_t>(1, BLOCKS / std::max<int64_t>(1, blocks));
  const int64_t steps = (side + step - 1) / step, least = 4;
  const int64_t each = std::max(least, (steps + wanted - 1) / wanted);
  return {each * step, std::max<int64_t>(1, (steps + each - 1) / each)};
}

// c(i, j) = c[i · strideM + j · strideN] for i < m, j < n.
void addUp(Call& call, const float* parts, int64_t count, int64_t m, int64_t n, float alpha, float* c, int64_t strideM,
           int64_t strideN) {
  LAUNCH(call, sum_skinny, call.blocksFor(m * n), {BLOCK}, parts, c, count, m * n, n, alpha, strideM, strideN);
}

void rowsTimes(Call& call, int64_t m, int64_t n, int64_t k, float alpha, const float* a, Matrix b, float* c,
               int64_t strideC) {
  const int64_t blocks = (m + skinny::ROWS - 1) / skinny::ROWS;
  const Parts split = partsOf(k, skinny::DEPTH, blocks);
  float* parts = call.temporary({split.count, m, n});
  LAUNCH(call, skinny_rows, {blocks, split.count}, {256}, a, b.numbers, parts, m, k, n, b.turned ? 1 : b.stride,
         b.turned ? b.stride : 1, split.length);
  addUp(call, parts, split.count, m, n, alpha, c, strideC, 1);
}

// bigᵀ · small for big [rows, m] and small [rows, n].
void columnsTimes(Call& call, int64_t rows, int64_t m, int64_t n, float alpha, const float* big, const float* small,
                  float* c, int64_t strideM, int64_t strideN) {
  const int64_t blocks = (m + BLOCK - 1) / BLOCK;
  const Parts split = partsOf(rows, skinny::STEP, blocks);
  float* parts = call.temporary({split.count, m, n});
  LAUNCH(call, skinny_columns, {blocks, split.count}, {BLOCK}, big, small, parts, rows, m, n, split.length);
  addUp(call, parts, split.count, m, n, alpha, c, strideM, strideN);
}

}  // namespace

void multiplySkinny(Call& call, int64_t m, int64_t n, int64_t k, float alpha, Matrix a, Matrix b, float* c,
                    int64_t strideC, bool tf32) {
  // large matrices without gaps between their rows
  if (n <= skinny::WIDTH && !a.turned && a.stride == k) {
    rowsTimes(call, m, n, k, alpha, a.numbers, b, c, strideC);
  } else if (n <= skinny::WIDTH && a.turned && !b.turned && a.stride == m && b.stride == n) {
    columnsTimes(call, k, m, n, alpha, a.numbers, b.numbers, c, strideC, 1);
  } else if (m <= skinny::WIDTH && a.turned && !b.turned && a.stride == m && b.stride == n) {
    columnsTimes(call, k, n, m, alpha, b.numbers, a.numbers, c, 1, strideC);
  } else {
    call.multiply(m, n, k, alpha, a, b, 0, c, strideC, tf32);
  }
}
