// The approximated activation gradient as one product, and what is prepared for it.
#include <algorithm>

#include "columns.cu"
#include "half.h"
#include "ops.h"
#include "skinny.h"

namespace {

// Columns of a packed matrix with `own` of its own: rows of whole 128 bytes, for tensor cores, with room for an adapter of
// rank 16.
int64_t packedWidth(int64_t own) { return (own + 16 + 31) / 32 * 32; }

void writeTails(Call& call, const Tail& first, const Tail& second = {}) {
  const int64_t count = second.to == nullptr ? 1 : 2;
  const int64_t most = std::max(first.rows * first.room, second.rows * second.room);
  LAUNCH(call, write_tails, {call.blocksFor(most)[0], count}, {BLOCK}, Tails{{first, second}});
}

// kernel [in, out], or [out, in] if transposed (, A₀ [in, r₀], B₀ [r₀, out]), int32 indices [k] → [R[:,I] | A₀ | 0]
// [in, packedWidth(k + r₀)]
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
    const int next = weights.reals();
    const bool frozen = call.reals() > next;
    const int64_t rank = frozen ? call.real(next, "frozenA", {in, ANY}).shape[1] : 0, width = packedWidth(k + rank);
    const float* frozenA = frozen ? call.real(next, "frozenA").numbers() : nullptr;
    const float* frozenB = frozen ? call.real(next + 1, "frozenB", {rank, out}).numbers() : nullptr;
    const float* numbers = kernel.floats(call);
    float* packed = call.output(0, {in, width});
    if (transposed) {
      LAUNCH(call, gather_rows_turned, {(in + 31) / 32 * ((k + 31) / 32)}, {32, 8}, numbers, indices.integers(), packed,
             out, in, k, width);
    } else {
      gather(call, numbers, indices, packed, in, out, width);
    }
    if (frozen) {
      float* columns = call.temporary({rank, k});
      gather(call, frozenB, indices, columns, rank, out, k);
      call.multiply(in, k, rank, -1, {frozenA, rank}, {columns, k}, 1, packed, width, tf32);
    }
    writeTails(call, {nullptr, 0, 0, frozenA, rank, packed + k, false, in, width, width - k});
  }
  static void gather(Call& call, const float* from, const Input& indices, float* to, int64_t rows, int64_t columns,
                     int64_t stride) {
    const int64_t k = indices.size(), blocks = (k + BLOCK - 1) / BLOCK * ((rows + ROWS_OF_GATHER - 1) / ROWS_OF_GATHER);
    LAUNCH(call, gather_columns, {blocks}, {BLOCK}, from, indices.integers(), to, rows, columns, k, stride);
  }
};

// dy [N, out] or [..., out], packed [in, ≥ k + r₀] (, A₀ [in, r₀], B₀ [r₀, out] if frozen) (, s dy Bᵀ [N, r], A [in, r]), int32 indices [k]
// → dx [N, in] = [dy[:,I] | dy B₀ᵀ | s dy Bᵀ] · [R[:,I] | A₀ | A]ᵀ, one product. The left side is made by one reading of dy.
// The right side is what PackColumns left, behind which A is written where there is room for it: nobody else reads it there.
struct ApproxActivationGrad {
  Weights weights;
  bool frozen, tf32;
  explicit ApproxActivationGrad(const Attributes& attributes)
      : weights(attributes), frozen(attributes.integer("frozen") != 0), tf32(attributes.integer("tf32") != 0) {}
  static constexpr OpDescription DESCRIPTION{"ApproxActivationGrad", "f", "frozen: int;tf32: int;" WEIGHT_ATTRIBUTES};
  void run(Call& call) const {
    const Input dy = call.flattened(0, "dy", {ANY, ANY});
    const Input& indices = call.integer(0, "indices", {ANY});
    const int64_t rows = dy.shape[0], out = dy.shape[1], k = indices.size();
    const WeightMatrix packed = weights.read(call, 1, "packed", {ANY, ANY});
    const int64_t in = packed.rows;
    call.requireIndices(indices, "indices", out);
    const int first = 1 + weights.reals(), last = frozen ? first + 2 : first;
    const bool adapted = call.reals() > last;
    const int64_t frozenRank = frozen ? call.real(first, "frozenA", {in, ANY}).shape[1] : 0;
    const int64_t rank = adapted ? call.real(last, "loraDy", {rows, ANY}).shape[1] : 0;
    const float* frozenB = frozen ? call.real(first + 1, "frozenB", {frozenRank, out}).numbers() : nullptr;
    const float* loraDy = adapted ? call.real(last, "loraDy").numbers() : nullptr;
    const float* loraA = adapted ? call.real(last + 1, "loraA", {in, rank}).numbers() : nullptr;
    const int64_t own = k + frozenRank, width = packedWidth(own);
    call.require(packed.columns == width,
                 "packed must be of shape " + textOf({ANY, width}) + ", but is " + textOf({in, packed.columns}));

    const bool fits = own + rank <= width;
    const int64_t beside = fits ? rank : 0, depth = (own + beside + 31) / 32 * 32;
    const bool brain = packed.precision == BFLOAT16 && call.multipliesBfloat16();
    const int64_t bytes = brain ? 2 : 4;
    float* dx = call.output(0, {rows, in});
    auto* left = reinterpret_cast<char*>(call.temporary({rows, depth * bytes / 4}));
    auto* right = brain ? static_cast<char*>(packed.data) : reinterpret_cast<char*>(packed.floats(call));
    const PartialSums low = keepAndMultiply(call, rows, frozenRank, out, dy.numbers(), {frozenB, out, true}, tf32,
                                      {indices.integers(), k, left, depth, brain});
    writeTails(call, {low.numbers, low.count, frozenRank, loraDy, beside, left + k * bytes, brain, rows, depth, depth - k},
               {nullptr, 0, 0, loraA, beside, right + own * bytes, brain, in, width, depth - own});
    if (brain) {
      call.multiplyBfloat16(rows, in, depth, reinterpret_cast<unsigned short*>(left), depth, packed.halves(), width, true,
                            dx);
    } else {
      call.multiply(rows, in, depth, 1, {reinterpret_cast<float*>(left), depth},
                    {reinterpret_cast<float*>(right), width, true}, 0, dx, in, tf32);
    }
    if (fits) return;
    call.multiply(rows, in, rank, 1, {loraDy, rank}, {loraA, rank, true}, 1, dx, in, tf32);
  }
};

}  // namespace

std::vector<Registration> approxGradOps() { return registrationsOf<PackColumns, ApproxActivationGrad>(); }
