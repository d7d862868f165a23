#include "elementwise.cu"
#include "half.h"
#include "ops.h"
#include "skinny.h"

namespace {

// x [N, in] or [..., in], W [in, out] (, bias [out]) (, A [in, r], B [r, out]) → y [N, out] (, s xA [N, r])
struct LoRAMatMul {
  Weights weights;
  bool biased, adapted, tf32;
  int activation;
  float scale;
  explicit LoRAMatMul(const Attributes& attributes)
      : weights(attributes),
        biased(attributes.integer("biased") != 0),
        adapted(attributes.integer("adapted") != 0),
        tf32(attributes.integer("tf32") != 0),
        activation(attributes.integer("activation")),
        scale(attributes.real("scale")) {}
  static constexpr OpDescription DESCRIPTION{
      "LoRAMatMul", "*", "biased: int;adapted: int;activation: int;scale: float;tf32: int;" WEIGHT_ATTRIBUTES};
  void run(Call& call) const {
    const Input x = call.flattened(0, "x", {ANY, ANY});
    const int64_t rows = x.shape[0], in = x.shape[1];
    const WeightMatrix kernel = weights.read(call, 1, "kernel", {in, ANY});
    const int64_t out = kernel.columns;
    const int next = 1 + weights.reals();
    const float* bias = biased ? call.real(next, "bias", {out}).numbers() : nullptr;
    float* y = call.output(0, {rows, out});
    kernel.multiply(call, rows, x.numbers(), false, y, tf32);
    if (adapted) {
      const Input& loraA = call.real(next + biased, "loraA", {in, ANY});
      const int64_t rank = loraA.shape[1];
      const float* loraB = call.real(next + 1 + biased, "loraB", {rank, out}).numbers();
      float* loraX = call.output(1, {rows, rank});
      multiplySkinny(call, rows, rank, in, scale, {x.numbers(), in}, {loraA.numbers(), rank}, loraX, rank, tf32);
      call.multiply(rows, out, rank, 1, {loraX, rank}, {loraB, out}, 1, y, out, tf32);
    }
    if (!bias && activation == 0) return;
    LAUNCH(call, bias_activation, call.blocksFor(rows * out), {BLOCK}, y, bias, rows * out, out, activation);
  }
};

// a [n, k], or [k, n] if transposeA; b [k, m], or [m, k] if transposeB → scale · a · b [n, m]
struct LowRankMatMul {
  bool transposeA, transposeB, tf32;
  float scale;
  explicit LowRankMatMul(const Attributes& attributes)
      : transposeA(attributes.integer("transposeA") != 0),
        transposeB(attributes.integer("transposeB") != 0),
        tf32(attributes.integer("tf32") != 0),
        scale(attributes.real("scale")) {}
  static constexpr OpDescription DESCRIPTION{"LowRankMatMul", "f",
                                             "transposeA: int;transposeB: int;scale: float;tf32: int"};
  void run(Call& call) const {
    const Input& a = call.real(0, "a", {ANY, ANY});
    const int64_t n = a.shape[transposeA], k = a.shape[!transposeA];
    const Input& b = call.real(1, "b", transposeB ? Shape{ANY, k} : Shape{k, ANY});
    const int64_t m = b.shape[!transposeB];
    float* c = call.output(0, {n, m});
    multiplySkinny(call, n, m, k, scale, {a.numbers(), a.shape[1], transposeA}, {b.numbers(), b.shape[1], transposeB}, c,
                   m, tf32);
  }
};

// dy [N, out] or [..., out], kernel [in, out], or [out, in] if transposed (, s dy Bᵀ [N, r], A [in, r]) → dx [N, in]
struct ActivationGrad {
  Weights weights;
  bool transposed, tf32;
  explicit ActivationGrad(const Attributes& attributes)
      : weights(attributes), transposed(attributes.integer("transposed") != 0), tf32(attributes.integer("tf32") != 0) {}
  static constexpr OpDescription DESCRIPTION{"ActivationGrad", "f", "transposed: int;tf32: int;" WEIGHT_ATTRIBUTES};
  void run(Call& call) const {
    const Input dy = call.flattened(0, "dy", {ANY, ANY});
    const int64_t rows = dy.shape[0], out = dy.shape[1];
    const WeightMatrix kernel = weights.read(call, 1, "kernel", transposed ? Shape{out, ANY} : Shape{ANY, out});
    const int64_t in = transposed ? kernel.columns : kernel.rows;
    const int next = 1 + weights.reals();
    float* dx = call.output(0, {rows, in});
    kernel.multiply(call, rows, dy.numbers(), !transposed, dx, tf32);
    if (call.reals() == next) return;
    const Input& loraDy = call.real(next, "loraDy", {rows, ANY});
    const int64_t rank = loraDy.shape[1];
    const float* loraA = call.real(next + 1, "loraA", {in, rank}).numbers();
    call.multiply(rows, in, rank, 1, {loraDy.numbers(), rank}, {loraA, rank, true}, 1, dx, in, tf32);
  }
};

}  // namespace

std::vector<Registration> productOps() { return registrationsOf<LoRAMatMul, LowRankMatMul, ActivationGrad>(); }
