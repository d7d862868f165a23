#include "attention.cu"

#include "elementwise.cu"
#include "ops.h"

namespace {

#define ATTRIBUTES "heads: int;kvHeads: int;scale: float;tf32: int"

struct AttentionOp {
  int64_t heads, kvHeads;
  float scale;
  bool tf32;
  explicit AttentionOp(const Attributes& attributes)
      : heads(attributes.integer("heads")),
        kvHeads(attributes.integer("kvHeads")),
        scale(attributes.real("scale")),
        tf32(attributes.integer("tf32") != 0) {
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

// launch(kernel, name) for the kernel of this op's heads and precision.
#define FOR_KERNEL(launch, prefix)                                                                        \
  do {                                                                                                    \
    const bool narrow = attention.c <= 64;                                                                \
    if (tf32 && call.multipliesTf32()) {                                                                  \
      narrow ? launch(prefix##64_tf32, #prefix "64_tf32") : launch(prefix##128_tf32, #prefix "128_tf32"); \
    } else {                                                                                              \
      narrow ? launch(prefix##64, #prefix "64") : launch(prefix##128, #prefix "128");                     \
    }                                                                                                     \
  } while (false)

// q [b · t, heads · c], k, v [b · t, kvHeads · c], or of rank 3 (, int32 segments [b, t]) → y, logSumExp [b, heads, t]
struct CausalAttention : AttentionOp {
  int64_t t;
  explicit CausalAttention(const Attributes& attributes) : AttentionOp(attributes), t(attributes.integer("t")) {}
  static constexpr OpDescription DESCRIPTION{"CausalAttention", "ff", "t: int;" ATTRIBUTES};
  void run(Call& call) const {
    const Input q = call.flattened(0, "q", {ANY, ANY});
    const Attention attention = attentionOf(call, q, t);
    const float* k = call.flattened(1, "k", kvShape(q)).numbers();
    const float* v = call.flattened(2, "v", kvShape(q)).numbers();
    float* y = call.output(0, call.real(0, "q").shape);
    float* logSumExp = call.output(1, {q.shape[0] / t, heads, t});
    const auto launch = [&](auto* kernel, const char* name) {
      call.launch(kernel, name, grid(q, t, WARPS), {32 * WARPS}, attention, q.numbers(), k, v, y, logSumExp);
    };
    FOR_KERNEL(launch, attention_);
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
    const auto gradient = [&](Of of, float* output) {
      const unsigned warps = warpsOf(attention.c <= 64 ? 64 : 128, of);
      const auto launch = [&](auto* kernel, const char* name) {
        call.launch(kernel, name, grid(q, t, warps), {32 * warps}, attention, q.numbers(), k, v, dy, logSumExp, dots,
                    output);
      };
      if (of == Q) FOR_KERNEL(launch, attention_grad_q_);
      else if (of == K) FOR_KERNEL(launch, attention_grad_k_);
      else FOR_KERNEL(launch, attention_grad_v_);
    };
    gradient(Q, call.output(0, call.real(1, "q").shape));
    // heads that share a k and v have a part each
    const int64_t share = heads / kvHeads, kvSize = sizeOf(kvShape(q));
    float* parts = share == 1 ? nullptr : call.temporary({share, kvSize});
    const auto overHeads = [&](Of of, float* output) {
      gradient(of, parts ? parts : output);
      if (parts) LAUNCH(call, sum_parts, call.blocksFor(kvSize), {BLOCK}, parts, output, share, kvSize);
    };
    overHeads(K, call.output(1, call.real(2, "k").shape));
    overHeads(V, call.output(2, call.real(3, "v").shape));
  }
};

#undef FOR_KERNEL
#undef ATTRIBUTES

}  // namespace

std::vector<Registration> attentionOps() { return registrationsOf<CausalAttention, CausalAttentionGrad>(); }
