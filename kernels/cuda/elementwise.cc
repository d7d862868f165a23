#include "elementwise.cu"

#include "ops.h"

namespace {

constexpr char ACTIVATION[] = "gelu: int";

// gate, up → y
struct GatedUnit {
  int gelu;
  explicit GatedUnit(const Attributes& attributes) : gelu(attributes.integer("gelu") != 0) {}
  static constexpr OpDescription DESCRIPTION{"GatedUnit", "f", ACTIVATION};
  void run(Call& call) const {
    const Input& gate = call.real(0, "gate");
    const float* up = call.real(1, "up", gate.shape).numbers();
    float* y = call.output(0, gate.shape);
    LAUNCH(call, gated_unit, call.blocksFor(gate.size()), {BLOCK}, gate.numbers(), up, y, gate.size(), gelu);
  }
};

// dy, gate, up → dGate, dUp
struct GatedUnitGrad {
  int gelu;
  explicit GatedUnitGrad(const Attributes& attributes) : gelu(attributes.integer("gelu") != 0) {}
  static constexpr OpDescription DESCRIPTION{"GatedUnitGrad", "ff", ACTIVATION};
  void run(Call& call) const {
    const Input& gate = call.real(1, "gate");
    const float* dy = call.real(0, "dy", gate.shape).numbers();
    const float* up = call.real(2, "up", gate.shape).numbers();
    float* dGate = call.output(0, gate.shape);
    float* dUp = call.output(1, gate.shape);
    LAUNCH(call, gated_unit_grad, call.blocksFor(gate.size()), {BLOCK}, dy, gate.numbers(), up, dGate, dUp,
           gate.size(), gelu);
  }
};

// x [b · t, heads · c] or [b, t, heads · c], cos [t, c / 2], sin [t, c / 2] → y
struct RotaryEmbedding {
  int interleaved;
  float sign;
  explicit RotaryEmbedding(const Attributes& attributes)
      : interleaved(attributes.integer("interleaved") != 0), sign(attributes.integer("inverse") != 0 ? -1 : 1) {}
  static constexpr OpDescription DESCRIPTION{"RotaryEmbedding", "f", "interleaved: int;inverse: int"};
  void run(Call& call) const {
    const Input x = call.flattened(0, "x", {ANY, ANY});
    const Input& cos = call.real(1, "cos", {ANY, ANY});
    const float* sin = call.real(2, "sin", cos.shape).numbers();
    const int64_t t = cos.shape[0], pairs = cos.shape[1];
    const Shape& shape = call.real(0, "x").shape;
    call.require(t > 0 && x.shape[0] % t == 0,
                 "x must be of texts of " + std::to_string(t) + " tokens, but is " + textOf(shape));
    call.require(pairs > 0 && x.shape[1] % (2 * pairs) == 0,
                 "x must have heads of " + std::to_string(2 * pairs) + " numbers, but is " + textOf(shape));
    float* y = call.output(0, shape);
    const int64_t size = x.size() / 2;
    LAUNCH(call, rotary_embedding, call.blocksFor(size), {BLOCK}, x.numbers(), cos.numbers(), sin, y, size, t,
           x.shape[1] / (2 * pairs), pairs, interleaved, sign);
  }
};

// params, grads, m, v [n], changing [3] (, scale []) → params, m, v
struct AdamWStep {
  int64_t decayed;
  float share1, beta2, share2, epsilon;
  explicit AdamWStep(const Attributes& attributes)
      : decayed(attributes.integer("decayed")),
        share1(attributes.real("share1")),
        beta2(attributes.real("beta2")),
        share2(attributes.real("share2")),
        epsilon(attributes.real("epsilon")) {}
  static constexpr OpDescription DESCRIPTION{"AdamWStep", "fff",
                                             "decayed: int;share1: float;beta2: float;share2: float;epsilon: float"};
  void run(Call& call) const {
    const Input& params = call.real(0, "params", {ANY});
    const int64_t n = params.shape[0];
    const float* grads = call.real(1, "grads", {n}).numbers();
    const float* m = call.real(2, "m", {n}).numbers();
    const float* v = call.real(3, "v", {n}).numbers();
    const float* changing = call.real(4, "changing", {3}).numbers();
    const float* scale = call.reals() > 5 ? call.real(5, "scale", {}).numbers() : nullptr;
    float* newParams = call.output(0, {n});
    float* newM = call.output(1, {n});
    float* newV = call.output(2, {n});
    LAUNCH(call, adamw_step, call.blocksFor(n), {BLOCK}, params.numbers(), grads, m, v, changing, scale, newParams,
           newM, newV, n, decayed, share1, beta2, share2, epsilon);
  }
};

// flat [n] → norm [], scale []
struct GlobalNorm {
  float maxNorm;
  explicit GlobalNorm(const Attributes& attributes) : maxNorm(attributes.real("maxNorm")) {}
  static constexpr OpDescription DESCRIPTION{"GlobalNorm", "ff", "maxNorm: float"};
  void run(Call& call) const {
    const Input& flat = call.real(0, "flat", {ANY});
    const Shape blocks = call.blocksFor(flat.size());
    float* norm = call.output(0, {});
    float* scale = call.output(1, {});
    float* parts = call.temporary(blocks);
    LAUNCH(call, sum_squares, blocks, {BLOCK}, flat.numbers(), parts, flat.size());
    LAUNCH(call, global_norm, {1}, {BLOCK}, parts, blocks[0], norm, scale, maxNorm);
  }
};

}  // namespace

std::vector<Registration> elementwiseOps() {
  return registrationsOf<GatedUnit, GatedUnitGrad, RotaryEmbedding, AdamWStep, GlobalNorm>();
}
