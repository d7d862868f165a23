#include "attention.cu"

#include "elementwise.cu"
#include "ops.h"

namespace {

#define ATTRIBUTES "heads: int;kvHeads: int;scale: float"

struct AttentionOp {
  int64_t heads, kvHeads;
  float scale;
  explicit AttentionOp(const Attributes& attributes)
      : heads(attributes.integer("heads")),
        kvHeads(attributes.integer("kvHeads")),
        scale(attributes.real("scale")) {
    if (kvHeads < 1 || heads < 1 || heads > 65535 || heads % kvHeads != 0) {
      throw InvalidInput("heads must be a multiple of kvHeads, but they are " + std::to_string(heads) + " and " +
                         std::to_string(kvHeads));
    }
  }

  // q [b · t, heads · c]; int32 segments [b, t] if there are any.
  Attention attentionOf(Call& call, const Input& q, int64_t t) const {
    call.require(t >= 1 && q.shape[0] % t == 0,
                 "q must be of texts of " + std::to_string(t) + " tokens, but is " + textOf(q.shape));
    const int64_t batch = q.shape[0] / t, c = q.shape[1] / heads;
    call.require(q.shape[1] % heads == 0 && c >= 1 && c <= HEAD,
                 "q must have " + std::to_string(heads) + " heads of 1 to " + std::to_string(HEAD) +
                     " numbers, but is " + textOf(q.shape));
    // a kernel adds the tiles' widths to a token's number
    call.require(t <= INT32_MAX - 1024 && batch <= 65535, "q is too large: " + textOf(q.shape));
    const int* segments = call.integers() > 0 ? call.integer(0, "segments", {batch, t}).integers() : nullptr;
    return {static_cast<int>(t), static_cast<int>(c), static_cast<int>(heads), static_cast<int>(kvHeads), scale,
            segments};
  }
  Shape kvShape(const Input& q) const { return {q.shape[0], q.shape[1] / heads * kvHeads}; }
  // For blocks of so many warps, each of which has 16 tokens.
  Shape grid(const Input& q, int64_t t, int warps) const {
    return {heads, q.shape[0] / t, (t + 16 * warps - 1) / (16 * warps)};
  }
};

// q [b · t, heads · c], k, v [b · t, kvHeads · c], or of rank 3 (, int32 segments [b, t]) → y, logSumExp [b, heads, t]
struct CausalAttention : AttentionOp {
  int64_t t;
  explicit CausalAttention(const Attributes& attributes) : AttentionOp(attributes), t(attributes.integer("t")) {}
  static constexpr OpDescription DESCRIPTION{"CausalAttention", "ff", "t: int;" ATTRIBUTES};
  void run(Call& call) const {
    const Input q = call.flattened(0, "q", {ANY, ANY});
    Attention attention = attentionOf(call, q, t);
    attention.scale *= 1.4426950408889634f;
    const float* k = call.flattened(1, "k", kvShape(q)).numbers();
    const float* v = call.flattened(2, "v", kvShape(q)).numbers();
    float* y = call.output(0, call.real(0, "q").shape);
    float* logSumExp = call.output(1, {q.shape[0] / t, heads, t});
    if (attention.c <= 64) {
      LAUNCH(call, attention_64, grid(q, t, WARPS), {32 * WARPS}, attention, q.numbers(), k, v, y, logSumExp);
    } else {
      LAUNCH(call, attention_128, grid(q, t, WARPS), {32 * WARPS}, attention, q.numbers(), k, v, y, logSumExp);
    }
  }
};

// dy, q, k, v, y, as above, logSumExp [b, heads, t] (, int32 segments) → dq, dk, dv
struct CausalAttentionGrad : AttentionOp {
  using AttentionOp::AttentionOp;
  static constexpr OpDescription DESCRIPTION{"CausalAttentionGrad", "fff", ATTRIBUTES};
  void run(Call& call) const {
    const Input q = call.flattened(1, "q", {ANY, ANY});
    const Input& logs = call.real(5, "logSumExp", {ANY, heads, ANY});
    const Shape numbers = logs.shape;
    const int64_t t = numbers[2];
    const Attention attention = attentionOf(call, q, t);
    call.real(5, "logSumExp", {q.shape[0] / t, heads, t});
    const float* logSumExp = logs.numbers();
    const float* dy = call.flattened(0, "dy", q.shape).numbers();
    const float* k = call.flattened(2, "k", kvShape(q)).numbers();
    const float* v = call.flattened(3, "v", kvShape(q)).numbers();
    const float* y = call.flattened(4, "y", q.shape).numbers();
    float* dots = call.temporary(numbers);
    const int64_t size = sizeOf(numbers);
    LAUNCH(call, attention_dots, {(32 * size + BLOCK - 1) / BLOCK}, {BLOCK}, dy, y, dots, size, t, heads, attention.c);
    const bool narrow = attention.c <= 64;
    const int warps = warpsOfGradient(narrow ? 64 : 128);
    const auto launch = [&](auto* kernel, const char* name, float* output) {
      call.launch(kernel, name, grid(q, t, warps), {32u * warps}, attention, q.numbers(), k, v, dy, logSumExp, dots, output);
    };
#define LAUNCH_GRADIENT(of, output) \
  narrow ? launch(attention_grad_##of##_64, "attention_grad_" #of "_64", output) \
         : launch(attention_grad_##of##_128, "attention_grad_" #of "_128", output)
    float* dq = call.output(0, call.real(1, "q").shape);
    LAUNCH_GRADIENT(q, dq);
    // heads that share a k and v have a part each
    const int64_t share = heads / kvHeads, kvSize = sizeOf(kvShape(q));
    float* parts = share == 1 ? nullptr : call.temporary({share, kvSize});
    const auto overHeads = [&](int index, const Shape& shape, const auto& gradient) {
      float* output = call.output(index, shape);
      gradient(parts ? parts : output);
      if (parts) LAUNCH(call, sum_parts, call.blocksFor(kvSize), {BLOCK}, parts, output, share, kvSize);
    };
    overHeads(1, call.real(2, "k").shape, [&](float* output) { LAUNCH_GRADIENT(k, output); });
    overHeads(2, call.real(3, "v").shape, [&](float* output) { LAUNCH_GRADIENT(v, output); });
#undef LAUNCH_GRADIENT
  }
};

}  // namespace

std::vector<Registration> attentionOps() { return registrationsOf<CausalAttention, CausalAttentionGrad>(); }
