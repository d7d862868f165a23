// CUDA as our ops use it: kernels from the images in the addon, and cuBLAS.
#pragma once
#include "cublas.h"
#include "cuda_on_cpu.h"

// A GPU in the context of which TensorFlow calls an op. All throw std::runtime_error for what CUDA refuses.
class Gpu {
 public:
  // That of the calling thread's context.
  static Gpu& current();

  void launch(const char* kernel, Dim grid, Dim block, void** arguments, void* stream);
  void multiply(const Product& product, void* stream, const Allocate& allocate);
  // Whether `multiply` takes bfloat16 numbers.
  bool multipliesBfloat16() const;
  // Whether tensor cores take float32 factors rounded to TF32, and may.
  bool multipliesTf32() const;
  void clear(void* memory, size_t bytes, void* stream);

 private:
  explicit Gpu();
  struct State;
  State* state;  // never freed: at exit CUDA may be gone first
};
