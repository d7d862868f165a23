#include "half.h"

#include "half.cu"
#include "ops.h"

Weights::Weights(const Attributes& attributes)
    : precision(static_cast<Precision>(attributes.integer("precision"))), columns(attributes.integer("columns")) {
  if (precision < FLOAT32 || precision > BFLOAT16) throw InvalidInput("precision must be 0, 1 or 2");
}

static WeightMatrix matrixOf(const Call& call, Precision precision, int64_t columns, const char* name,
                             const Shape& shape) {
  const Input& words = call.integer(call.integers() - 1, name, {shape[0], ANY});
  call.require(columns >= 1 && words.shape[1] == halfStride(columns) / 2 && (shape[1] == ANY || shape[1] == columns),
               std::string(name) + " must be of shape " + textOf(shape) + " in words, but is " + textOf(words.shape) +
                   " for " + std::to_string(columns) + " columns");
  return {precision, words.data, words.shape[0], columns};
}

WeightMatrix Weights::read(const Call& call, int real, const char* name, const Shape& shape) const {
  if (precision != FLOAT32) return matrixOf(call, precision, columns, name, shape);
  const Input& input = call.real(real, name, shape);
  return {FLOAT32, input.data, input.shape[0], input.shape[1]};
}

float* WeightMatrix::floats(Call& call) const {
  if (precision == FLOAT32) return static_cast<float*>(data);
  float* decoded = call.temporary({rows, columns});
  LAUNCH(call, unpack_half, call.blocksFor(rows * columns), {BLOCK}, halves(), decoded, rows * columns, columns,
         halfStride(columns), precision == BFLOAT16);
  return decoded;
}

void WeightMatrix::multiply(Call& call, int64_t m, const float* a, bool turned, float* c, bool tf32) const {
  const int64_t n = turned ? rows : columns, k = turned ? columns : rows;
  if (precision != BFLOAT16 || !call.multipliesBfloat16()) {
    return call.multiply(m, n, k, 1, {a, k}, {floats(call), columns, turned}, 0, c, n, tf32);
  }
  // rows of whole 16 bytes, as tensor cores like them
  const int64_t stride = (k + 7) / 8 * 8;
  auto* rounded = reinterpret_cast<unsigned short*>(call.temporary({m, stride / 2}));
  LAUNCH(call, pack_half, call.blocksFor(m * stride), {BLOCK}, a, rounded, m * stride, k, stride, 1);
  call.multiplyBfloat16(m, n, k, rounded, stride, halves(), halfStride(columns), turned, c);
}

namespace {

// x [rows, columns] → int32 words [rows, ⌈columns / 2⌉]
struct PackHalf {
  bool brain;
  explicit PackHalf(const Attributes& attributes) : brain(attributes.integer("brain") != 0) {}
  static constexpr OpDescription DESCRIPTION{"PackHalf", "i", "brain: int"};
  void run(Call& call) const {
    const Input& x = call.real(0, "x", {ANY, ANY});
    pack(call, x.numbers(), x.shape[0], x.shape[1], brain);
  }
  static void pack(Call& call, const float* numbers, int64_t rows, int64_t columns, bool brain) {
    const int64_t stride = halfStride(columns);
    auto* words = reinterpret_cast<unsigned short*>(call.integerOutput(0, {rows, stride / 2}));
    LAUNCH(call, pack_half, call.blocksFor(rows * stride), {BLOCK}, numbers, words, rows * stride, columns, stride,
           brain);
  }
};

// int32 words [rows, ⌈columns / 2⌉] → x [rows, columns]
struct UnpackHalf {
  bool brain;
  int64_t columns;
  explicit UnpackHalf(const Attributes& attributes)
      : brain(attributes.integer("brain") != 0), columns(attributes.integer("columns")) {}
  static constexpr OpDescription DESCRIPTION{"UnpackHalf", "f", "brain: int;columns: int"};
  void run(Call& call) const {
    const WeightMatrix matrix = matrixOf(call, brain ? BFLOAT16 : FLOAT16, columns, "words", {ANY, ANY});
    const int64_t size = matrix.rows * columns;
    LAUNCH(call, unpack_half, call.blocksFor(size), {BLOCK}, matrix.halves(), call.output(0, {matrix.rows, columns}),
           size, columns, halfStride(columns), brain);
  }
};

// int32 ids [N], words [V, ⌈columns / 2⌉] → rows [N, columns]
struct LookupHalf {
  bool brain;
  int64_t columns;
  explicit LookupHalf(const Attributes& attributes)
      : brain(attributes.integer("brain") != 0), columns(attributes.integer("columns")) {}
  static constexpr OpDescription DESCRIPTION{"LookupHalf", "f", "brain: int;columns: int"};
  void run(Call& call) const {
    const Input& ids = call.integer(0, "ids", {ANY});
    const WeightMatrix table = matrixOf(call, brain ? BFLOAT16 : FLOAT16, columns, "table", {ANY, ANY});
    call.requireIndices(ids, "ids", table.rows);
    const int64_t size = ids.size() * columns;
    LAUNCH(call, lookup_half, call.blocksFor(size), {BLOCK}, table.halves(), ids.integers(),
           call.output(0, {ids.size(), columns}), size, table.rows, columns, halfStride(columns), brain);
  }
};

}  // namespace

std::vector<Registration> halfOps() { return registrationsOf<PackHalf, UnpackHalf, LookupHalf>(); }
