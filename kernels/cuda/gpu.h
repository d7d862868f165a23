// CUDA as our ops use it: kernels from the images in the addon, through libcuda.so.1, and the cuBLAS that TensorFlow has
// loaded. Nothing is linked.
#pragma once
#include "cuda_on_cpu.h"

// A GPU in the context of which TensorFlow calls an op. All throw std::runtime_error for what CUDA refuses.
class Gpu {
 public:
  // That of the calling thread's context.
  static Gpu& current();

  void launch(const char* kernel, Dim grid, Dim block, void** arguments, void* stream);
  // Row by row: c [m, n] = alpha · a · b + beta · c, as in call.h.
  struct Product {
    int m, n, k;
    float alpha;
    const void* a;
    int strideA;
    bool turnedA;
    const void* b;
    int strideB;
    bool turnedB;
    float beta;
    float* c;
    int strideC;
    bool tf32;
    // a and b are bfloat16 numbers
    bool bfloat16;
  };
  void multiply(const Product& product, void* stream);
  // Whether `multiply` takes bfloat16 numbers.
  bool multipliesBfloat16() const;
  void clear(void* memory, size_t bytes, void* stream);

 private:
  explicit Gpu();
  struct State;
  State* state;  // never freed: at exit CUDA may be gone first
};
