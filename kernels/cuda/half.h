// Matrices at half precision as operands of ops; see half.cu.
#pragma once
#include "op.h"

enum Precision { FLOAT32, FLOAT16, BFLOAT16 };

// Numbers from one row of a matrix at half precision to the next.
inline int64_t halfStride(int64_t columns) { return (columns + 1) / 2 * 2; }

// A frozen matrix [rows, columns].
struct WeightMatrix {
  Precision precision;
  void* data;
  int64_t rows, columns;

  const unsigned short* halves() const { return static_cast<const unsigned short*>(data); }
  // All of it as float32, decoded if need be.
  float* floats(Call& call) const;
  // c [m, n] = a [m, k] · W, or a · Wᵀ if turned. Of a bfloat16 matrix, a is rounded to bfloat16 too where the device
  // multiplies in it; the sums are float32.
  void multiply(Call& call, int64_t m, const float* a, bool turned, float* c, bool tf32) const;
};

// How an op's frozen matrix is given: as one of its float32 inputs, or at half precision as the last of its int32 inputs.
class Weights {
 public:
  explicit Weights(const Attributes& attributes);
  // Float32 inputs that the matrix takes: 1, or 0 at half precision.
  int reals() const { return precision == FLOAT32 ? 1 : 0; }
  // Input `real`, or the words. Throws InvalidInput, saying what `name` must be, if it is not of that shape.
  WeightMatrix read(const Call& call, int real, const char* name, const Shape& shape) const;

 private:
  Precision precision;
  int64_t columns;
};

// What an op with Weights has among its attributes.
#define WEIGHT_ATTRIBUTES "precision: int;columns: int"
