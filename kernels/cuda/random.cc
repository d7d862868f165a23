#include "random.cu"

#include "ops.h"

namespace {

// int32 round keys [⌈size / 2²⁴⌉, 5], inputs because they are others at every call → numbers, or a mask of them, [size]
struct RandomUniform {
  int64_t size;
  int mask;
  float keep, kept;
  explicit RandomUniform(const Attributes& attributes)
      : size(attributes.integer("size")),
        mask(attributes.integer("mask") != 0),
        keep(attributes.real("keep")),
        kept(attributes.real("kept")) {
    if (size < 1) throw InvalidInput("size must be at least 1, but is " + std::to_string(size));
  }
  static constexpr OpDescription DESCRIPTION{"RandomUniform", "f", "size: int;mask: int;keep: float;kept: float"};
  void run(Call& call) const {
    const int64_t blocks = ((size - 1) >> 24) + 1;
    const int* keys = call.integer(0, "keys", {blocks, HASH_ROUNDS}).integers();
    LAUNCH(call, random_uniform, call.blocksFor(size), {BLOCK}, keys, call.output(0, {size}), size, mask, keep, kept);
  }
};

}  // namespace

std::vector<Registration> randomOps() { return registrationsOf<RandomUniform>(); }
