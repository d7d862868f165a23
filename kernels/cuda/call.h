// One run of an op: its checked inputs, its outputs, and what it launches, on the CPU or on TensorFlow's CUDA stream.
#pragma once
#include <cstdint>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "common.cuh"
#include "gpu.h"
#include "tensorflow.h"

// What the caller did wrong; everything else that goes wrong is a std::runtime_error.
struct InvalidInput : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

using Shape = std::vector<int64_t>;

// Numbers that a shape holds. Throws InvalidInput beyond 2⁴⁰, so that no product of sizes runs over.
int64_t sizeOf(const Shape& shape);
std::string textOf(const Shape& shape);

constexpr int64_t ANY = -1;

struct Input {
  void* data;
  Shape shape;
  int64_t size() const { return sizeOf(shape); }
  float* numbers() const { return static_cast<float*>(data); }
  int* integers() const { return static_cast<int*>(data); }
};

// A matrix row by row, rows `stride` numbers apart, or the transpose of one.
struct Matrix {
  const float* numbers;
  int64_t stride;
  bool turned = false;
};

class Call {
 public:
  // The first `reals` inputs are float32, the others int32.
  Call(TF_OpKernelContext* context, bool onGpu, int reals);
  ~Call();
  Call(const Call&) = delete;

  int reals() const { return realCount; }
  int integers() const { return static_cast<int>(inputs.size()) - realCount; }

  // Input i of its kind. Throws InvalidInput, saying what `name` must be, if it is not of that shape; ANY fits every size.
  const Input& real(int i, const char* name, const Shape& shape) const;
  const Input& integer(int i, const char* name, const Shape& shape) const;
  // Of any shape.
  const Input& real(int i, const char* name) const;
  // With all sides but the last taken for one, a matrix of that shape.
  Input flattened(int i, const char* name, const Shape& shape) const;

  // Throws InvalidInput unless `condition`.
  void require(bool condition, const std::string& message) const;
  // Throws InvalidInput for an index that is not 0 … bound − 1 (or, from = −1, −1 … bound − 1). On a GPU, where that would
  // wait for all that is before it, kernels answer such an index with NaN.
  void requireIndices(const Input& indices, const char* name, int64_t bound, int64_t from = 0) const;

  float* output(int index, const Shape& shape);
  int* integerOutput(int index, const Shape& shape);
  // Memory until the op ends.
  float* temporary(const Shape& shape);

  // Runs kernel<<<grid, block>>>(arguments...); see LAUNCH.
  template <class... Parameters, class... Arguments>
  void launch(void (*kernel)(Parameters...), const char* name, Shape grid, Dim block, Arguments... arguments) {
    std::tuple<Parameters...> values{arguments...};
    if (sizeOf(grid) == 0) return;
    if (!onGpu) {
      runOnCpu(dimOf(grid), block, [&] { std::apply(kernel, values); });
      return;
    }
    std::apply(
        [&](auto&... value) {
          void* pointers[] = {&value...};
          gpu->launch(name, dimOf(grid), block, pointers, stream);
        },
        values);
  }
  // Blocks for a kernel that goes over `size` numbers with a stride: enough to fill a GPU.
  Shape blocksFor(int64_t size) const;

  // c [m, n] = alpha · a [m, k] · b [k, n] + beta · c. Throws InvalidInput for a side of 2³¹ or more.
  void multiply(int64_t m, int64_t n, int64_t k, float alpha, Matrix a, Matrix b, float beta, float* c, int64_t strideC,
                bool tf32);
  // c [m, n] = a [m, k] · b [k, n] of bfloat16 numbers, b turned or not, with float32 sums.
  void multiplyBfloat16(int64_t m, int64_t n, int64_t k, const unsigned short* a, int64_t strideA,
                        const unsigned short* b, int64_t strideB, bool turnedB, float* c);
  // Whether the device does.
  bool multipliesBfloat16() const { return !onGpu || gpu->multipliesBfloat16(); }
  bool multipliesTf32() const { return !onGpu || gpu->multipliesTf32(); }
  void clear(float* numbers, int64_t size);

 private:
  TF_OpKernelContext* context;
  bool onGpu;
  int realCount;
  Gpu* gpu = nullptr;
  void* stream = nullptr;
  std::vector<TF_Tensor*> tensors;
  std::vector<Input> inputs;

  void multiply(const Product& product);
  static Dim dimOf(const Shape& grid);
  void* allocate(int index, int type, const Shape& shape);
};

#define LAUNCH(call, kernel, ...) (call).launch(kernel, #kernel, __VA_ARGS__)
