#include "columns.cu"

#include <algorithm>

#include "ops.h"
#include "select.cu"

namespace {

// Blocks of column_squares that a GPU holds at once: five for each of 132 multiprocessors.
constexpr int64_t BLOCKS = 5 * 132;

// dy [N, out] or [..., out] (, norms [out]) → scores [out]
struct ColumnScores {
  explicit ColumnScores(const Attributes&) {}
  static constexpr OpDescription DESCRIPTION{"ColumnScores", "f", ""};
  void run(Call& call) const {
    const Input dy = call.flattened(0, "dy", {ANY, ANY});
    const int64_t rows = dy.shape[0], columns = dy.shape[1];
    const float* norms = call.reals() > 1 ? call.real(1, "norms", {columns}).numbers() : nullptr;
    const int64_t across = (columns + 127) / 128, most = std::max<int64_t>(1, BLOCKS / std::max<int64_t>(1, across));
    // whole rounds of 32 rows
    const int64_t part = std::max<int64_t>(1, ((rows + most - 1) / most + 31) / 32) * 32, count = (rows + part - 1) / part;
    float* scores = call.output(0, {columns});
    float* parts = call.temporary({count, columns});
    LAUNCH(call, column_squares, {across, count}, {32, 8}, dy.numbers(), parts, rows, columns, part);
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

}  // namespace

std::vector<Registration> columnOps() { return registrationsOf<ColumnScores, SelectColumns>(); }
