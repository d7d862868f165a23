#include "rows.cu"

#include "half.h"
#include "ops.h"

namespace {

// dy [N, out], offset [1] → int32 indices [m], weights [m]
struct SampleRows {
  int64_t rows;
  explicit SampleRows(const Attributes& attributes) : rows(attributes.integer("rows")) {}
  static constexpr OpDescription DESCRIPTION{"SampleRows", "if", "rows: int"};
  void run(Call& call) const {
    const Input& dy = call.real(0, "dy", {ANY, ANY});
    const int64_t all = dy.shape[0], columns = dy.shape[1];
    const float* offset = call.real(1, "offset", {1}).numbers();
    call.require(all <= INT32_MAX - BLOCK && rows >= 1 && rows <= all,
                 "rows must be 1 to " + std::to_string(all) + ", but is " + std::to_string(rows));
    int* indices = call.integerOutput(0, {rows});
    float* weights = call.output(1, {rows});
    float* norms = call.temporary({all});
    LAUNCH(call, row_norms, {all}, {BLOCK}, dy.numbers(), norms, columns);
    LAUNCH(call, sample_rows, {1}, {BLOCK}, norms, offset, indices, weights, static_cast<int>(all),
           static_cast<int>(rows));
  }
};

// dy [N, out], kernel [in, out], or [out, in] if transposed, weights [m] (, s dy Bᵀ [N, r], A [in, r]), int32 indices [m]
// → dx [N, in]: the adapter's term, or zeros, and the sampled rows' product added to it
struct SampledActivationGrad {
  Weights weights;
  bool transposed, tf32;
  explicit SampledActivationGrad(const Attributes& attributes)
      : weights(attributes), transposed(attributes.integer("transposed") != 0), tf32(attributes.integer("tf32") != 0) {}
  static constexpr OpDescription DESCRIPTION{"SampledActivationGrad", "f",
                                             "transposed: int;tf32: int;" WEIGHT_ATTRIBUTES};
  void run(Call& call) const {
    const Input& dy = call.real(0, "dy", {ANY, ANY});
    const int64_t all = dy.shape[0], out = dy.shape[1];
    const WeightMatrix kernel = weights.read(call, 1, "kernel", transposed ? Shape{out, ANY} : Shape{ANY, out});
    const int64_t in = transposed ? kernel.columns : kernel.rows;
    const int next = 1 + weights.reals();
    const Input& indices = call.integer(0, "indices", {ANY});
    const int64_t rows = indices.size();
    const float* factors = call.real(next, "weights", {rows}).numbers();
    call.requireIndices(indices, "indices", all);
    float* dx = call.output(0, {all, in});
    if (call.reals() > next + 1) {
      const Input& loraDy = call.real(next + 1, "loraDy", {all, ANY});
      const int64_t rank = loraDy.shape[1];
      const float* loraA = call.real(next + 2, "loraA", {in, rank}).numbers();
      call.multiply(all, in, rank, 1, {loraDy.numbers(), rank}, {loraA, rank, true}, 0, dx, in, tf32);
    } else {
      call.clear(dx, all * in);
    }
    float* drawn = call.temporary({rows, out});
    LAUNCH(call, gather_rows, call.blocksFor(rows * out), {BLOCK}, dy.numbers(), indices.integers(), factors, drawn,
           all, out, rows * out);
    float* product = call.temporary({rows, in});
    kernel.multiply(call, rows, drawn, !transposed, product, tf32);
    LAUNCH(call, add_rows, call.blocksFor(rows * in), {BLOCK}, product, indices.integers(), dx, all, in, rows * in);
  }
};

}  // namespace

std::vector<Registration> rowOps() { return registrationsOf<SampleRows, SampledActivationGrad>(); }
