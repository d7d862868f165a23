#include "norms.cu"

#include <algorithm>

#include "elementwise.cu"
#include "ops.h"

namespace {

constexpr char EPSILON[] = "epsilon: float;centred: int";
constexpr int64_t ROWS_OF_PART = 128;

struct Norm {
  float epsilon;
  int centred;
  explicit Norm(const Attributes& attributes)
      : epsilon(attributes.real("epsilon")), centred(attributes.integer("centred") != 0) {}

  static int64_t widthOf(Call& call, const Input& x) {
    call.require(!x.shape.empty() && x.shape.back() > 0, "x must have rows, but is of shape " + textOf(x.shape));
    return x.shape.back();
  }
};

// x, weight (, bias) → y
struct NormOp : Norm {
  using Norm::Norm;
  static constexpr OpDescription DESCRIPTION{"Norm", "f", EPSILON};
  void run(Call& call) const {
    const Input& x = call.real(0, "x");
    const int64_t d = widthOf(call, x);
    const float* weight = call.real(1, "weight", {d}).numbers();
    const float* bias = call.reals() > 2 ? call.real(2, "bias", {d}).numbers() : nullptr;
    float* y = call.output(0, x.shape);
    LAUNCH(call, norm_rows, {x.size() / d}, {BLOCK}, x.numbers(), nullptr, weight, bias, y, nullptr, d, epsilon,
           centred);
  }
};

// x, residual, weight → y, sum
struct AddNormOp : Norm {
  using Norm::Norm;
  static constexpr OpDescription DESCRIPTION{"AddNorm", "ff", EPSILON};
  void run(Call& call) const {
    const Input& x = call.real(0, "x");
    const int64_t d = widthOf(call, x);
    const float* residual = call.real(1, "residual", x.shape).numbers();
    const float* weight = call.real(2, "weight", {d}).numbers();
    float* y = call.output(0, x.shape);
    float* sum = call.output(1, x.shape);
    LAUNCH(call, norm_rows, {x.size() / d}, {BLOCK}, x.numbers(), residual, weight, nullptr, y, sum, d, epsilon,
           centred);
  }
};

// dy, x, weight (, dSum) → dx
struct NormGradOp : Norm {
  using Norm::Norm;
  static constexpr OpDescription DESCRIPTION{"NormGrad", "f", EPSILON};
  void run(Call& call) const {
    const Input& x = call.real(1, "x");
    const int64_t d = widthOf(call, x);
    const float* dy = call.real(0, "dy", x.shape).numbers();
    const float* weight = call.real(2, "weight", {d}).numbers();
    const float* dSum = call.reals() > 3 ? call.real(3, "dSum", x.shape).numbers() : nullptr;
    float* dx = call.output(0, x.shape);
    LAUNCH(call, norm_grad, {x.size() / d}, {BLOCK}, dy, x.numbers(), weight, dSum, dx, d, epsilon, centred);
  }
};

// dy, x → dWeight
struct NormWeightGradOp : Norm {
  using Norm::Norm;
  static constexpr OpDescription DESCRIPTION{"NormWeightGrad", "f", EPSILON};
  void run(Call& call) const {
    const Input& x = call.real(1, "x");
    const int64_t d = widthOf(call, x), rows = x.size() / d;
    const float* dy = call.real(0, "dy", x.shape).numbers();
    const int64_t part = std::max(ROWS_OF_PART, (rows + 65534) / 65535), count = (rows + part - 1) / part;
    float* output = call.output(0, {d});
    if (count == 0) return call.clear(output, d);
    float* moments = call.temporary({rows, 2});
    float* parts = count == 1 ? output : call.temporary({count, d});
    LAUNCH(call, norm_moments, {rows}, {BLOCK}, x.numbers(), moments, d, epsilon, centred);
    LAUNCH(call, norm_weight_parts, {(d + 31) / 32, count}, {32, 8}, dy, x.numbers(), moments, parts, rows, d, part);
    if (count > 1) LAUNCH(call, sum_parts, call.blocksFor(d), {BLOCK}, parts, output, count, d);
  }
};

}  // namespace

std::vector<Registration> normOps() { return registrationsOf<NormOp, AddNormOp, NormGradOp, NormWeightGradOp>(); }
