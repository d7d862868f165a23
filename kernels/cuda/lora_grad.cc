#include "ops.h"
#include "skinny.h"

namespace {

// x [N, in] or [..., in], dy [N, out] or [..., out], s xA [N, r], B [r, out] → s dy Bᵀ [N, r], xᵀ(s dy Bᵀ) [in, r], (s xA)ᵀdy [r, out]
struct LoRAGrad {
  bool tf32;
  float scale;
  explicit LoRAGrad(const Attributes& attributes)
      : tf32(attributes.integer("tf32") != 0), scale(attributes.real("scale")) {}
  static constexpr OpDescription DESCRIPTION{"LoRAGrad", "fff", "scale: float;tf32: int"};
  void run(Call& call) const {
    const Input x = call.flattened(0, "x", {ANY, ANY});
    const int64_t rows = x.shape[0], in = x.shape[1];
    const Input dy = call.flattened(1, "dy", {rows, ANY});
    const int64_t out = dy.shape[1];
    const Input& loraX = call.real(2, "loraX", {rows, ANY});
    const int64_t rank = loraX.shape[1];
    const Input& loraB = call.real(3, "loraB", {rank, out});
    float* loraDy = call.output(0, {rows, rank});
    float* gradA = call.output(1, {in, rank});
    float* gradB = call.output(2, {rank, out});
    multiplySkinny(call, rows, rank, out, scale, {dy.numbers(), out}, {loraB.numbers(), out, true}, loraDy, rank, tf32);
    multiplySkinny(call, in, rank, rows, 1, {x.numbers(), in, true}, {loraDy, rank}, gradA, rank, tf32);
    multiplySkinny(call, rank, out, rows, 1, {loraX.numbers(), rank, true}, {dy.numbers(), out}, gradB, out, tf32);
  }
};

}  // namespace

std::vector<Registration> loraGradOps() { return registrationsOf<LoRAGrad>(); }
