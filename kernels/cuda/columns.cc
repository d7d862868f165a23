#include "columns.cu"

#include <algorithm>

#include "half.h"
#include "ops.h"
#include "skinny.h"

namespace {

// Rows that a block adds up: enough blocks for a GPU at 2048 rows.
constexpr int64_t ROWS_OF_PART = 128;

// dy [N, out] (, norms [out]) → scores [out]
struct ColumnScores {
  explicit ColumnScores(const Attributes&) {}
  static constexpr OpDescription DESCRIPTION{"ColumnScores", "f", ""};
  void run(Call& call) const {
    const Input& dy = call.real(0, "dy", {ANY, ANY});
    const int64_t rows = dy.shape[0], columns = dy.shape[1];
    const float* norms = call.reals() > 1 ? call.real(1, "norms", {columns}).numbers() : nullptr;
    const int64_t part = std::max(ROWS_OF_PART, (rows + 65534) / 65535), count = (rows + part - 1) / part;
    float* scores = call.output(0, {columns});
    float* parts = call.temporary({count, columns});
    LAUNCH(call, column_squares, {(columns + 31) / 32, count}, {32, 8}, dy.numbers(), parts, rows, columns, part);
    LAUNCH(call, column_scores, call.blocksFor(columns), {BLOCK}, parts, norms, scores, count, columns);
  }
};

// scores [out] → int32 indices [k]
struct SelectColumns {
  int64_t k;
  explicit SelectColumns(const Attributes& attributes) : k(attributes.integer("k")) {}
  static constexpr OpDescription DESCRIPTION{"SelectColumns", "i", "k: int"};
  void run(Call& call) const {
    const Input& scores = call.real(0, "scores", {ANY});
    const int64_t size = scores.size();
    call.require(size <= INT32_MAX - SELECTING && k >= 1 && k <= size,
                 "k must be 1 to " + std::to_string(size) + ", but is " + std::to_string(k));
    int* indices = call.integerOutput(0, {k});
    LAUNCH(call, select_columns, {1}, {SELECTING}, scores.numbers(), indices, static_cast<int>(size),
           static_cast<int>(k));
  }
};

// kernel [in, out], or [out, in] if transposed (, A₀ [in, r₀], B₀ [r₀, out]), int32 indices [k] → R[:,I] [in, k]
struct PackColumns {
  Weights weights;
  bool transposed, tf32;
  explicit PackColumns(const Attributes& attributes)
      : weights(attributes),
        transposed(attributes.integer("transposed") != 0),
        tf32(attributes.integer("tf32") != 0) {}
  static constexpr OpDescription DESCRIPTION{"PackColumns", "f", "transposed: int;tf32: int;" WEIGHT_ATTRIBUTES};
  void run(Call& call) const {
    const WeightMatrix kernel = weights.read(call, 0, "kernel", {ANY, ANY});
    const Input& indices = call.integer(0, "indices", {ANY});
    const int64_t in = transposed ? kernel.columns : kernel.rows, out = transposed ? kernel.rows : kernel.columns;
    const int64_t k = indices.size();
    call.requireIndices(indices, "indices", out);
    const float* numbers = kernel.floats(call);
    float* packed = call.output(0, {in, k});
    if (transposed) {
      LAUNCH(call, gather_rows_turned, {(in + 31) / 32 * ((k + 31) / 32)}, {32, 8}, numbers, indices.integers(), packed,
             out, in, k);
    } else {
      gather(call, numbers, indices, packed, in, out);
    }
    const int next = weights.reals();
    if (call.reals() == next) return;
    const Input& frozenA = call.real(next, "frozenA", {in, ANY});
    const int64_t rank = frozenA.shape[1];
    const Input& frozenB = call.real(next + 1, "frozenB", {rank, out});
    float* columns = call.temporary({rank, k});
    gather(call, frozenB.numbers(), indices, columns, rank, out);
    call.multiply(in, k, rank, -1, {frozenA.numbers(), rank}, {columns, k}, 1, packed, k, tf32);
  }
  static void gather(Call& call, const float* from, const Input& indices, float* to, int64_t rows, int64_t columns) {
    const int64_t k = indices.size(), blocks = (k + BLOCK - 1) / BLOCK * ((rows + ROWS_OF_GATHER - 1) / ROWS_OF_GATHER);
    LAUNCH(call, gather_columns, {blocks}, {BLOCK}, from, indices.integers(), to, rows, columns, k);
  }
};

// dy [N, out], packed [in, k] (, A₀ [in, r₀], B₀ [r₀, out] if frozen) (, s dy Bᵀ [N, r], A [in, r]), int32 indices [k]
// → dx [N, in]
struct ApproxActivationGrad {
  Weights weights;
  bool frozen, tf32;
  explicit ApproxActivationGrad(const Attributes& attributes)
      : weights(attributes), frozen(attributes.integer("frozen") != 0), tf32(attributes.integer("tf32") != 0) {}
  static constexpr OpDescription DESCRIPTION{"ApproxActivationGrad", "f", "frozen: int;tf32: int;" WEIGHT_ATTRIBUTES};
  void run(Call& call) const {
    const Input& dy = call.real(0, "dy", {ANY, ANY});
    const Input& indices = call.integer(0, "indices", {ANY});
    const int64_t rows = dy.shape[0], out = dy.shape[1], k = indices.size();
    const WeightMatrix packed = weights.read(call, 1, "packed", {ANY, k});
    const int64_t in = packed.rows;
    call.requireIndices(indices, "indices", out);
    const int first = 1 + weights.reals(), low = frozen ? first + 2 : first;
    const bool adapted = call.reals() > low;
    const int64_t frozenRank = frozen ? call.real(first, "frozenA", {in, ANY}).shape[1] : 0;
    const int64_t rank = adapted ? call.real(low, "loraDy", {rows, ANY}).shape[1] : 0;
    if (frozen) call.real(first + 1, "frozenB", {frozenRank, out});
    if (adapted) call.real(low + 1, "loraA", {in, rank});

    float* dx = call.output(0, {rows, in});
    float* kept = call.temporary({rows, k});
    PackColumns::gather(call, dy.numbers(), indices, kept, rows, out);
    packed.multiply(call, rows, kept, true, dx, tf32);
    // both low-rank terms are one product over r₀ + r: a product more would read and write all of dx once more
    const int64_t both = frozenRank + rank;
    if (both == 0) return;
    if (!frozen) {
      const Input& loraDy = call.real(low, "loraDy");
      const Input& loraA = call.real(low + 1, "loraA");
      return call.multiply(rows, in, rank, 1, {loraDy.numbers(), rank}, {loraA.numbers(), rank, true}, 1, dx, in, tf32);
    }
    const Input& frozenA = call.real(first, "frozenA");
    const int64_t leftSize = rows * both;
    float* left = call.temporary({adapted ? leftSize + in * both : leftSize});
    multiplySkinny(call, rows, frozenRank, out, 1, {dy.numbers(), out},
                   {call.real(first + 1, "frozenB").numbers(), out, true}, left, both, tf32);
    if (!adapted) {
      return call.multiply(rows, in, both, 1, {left, both}, {frozenA.numbers(), both, true}, 1, dx, in, tf32);
    }
    float* right = left + leftSize;
    const Input& loraDy = call.real(low, "loraDy");
    const Input& loraA = call.real(low + 1, "loraA");
    LAUNCH(call, copy_columns, {call.blocksFor(std::max(rows, in) * both)[0], ColumnCopies::MOST}, {BLOCK},
           ColumnCopies{{loraDy.numbers(), frozenA.numbers(), loraA.numbers()},
                        {left + frozenRank, right, right + frozenRank},
                        {loraDy.size(), frozenA.size(), loraA.size()},
                        {rank, frozenRank, rank},
                        {both, both, both}});
    call.multiply(rows, in, both, 1, {left, both}, {right, both, true}, 1, dx, in, tf32);
  }
};

}  // namespace

std::vector<Registration> columnOps() {
  return registrationsOf<ColumnScores, SelectColumns, PackColumns, ApproxActivationGrad>();
}
