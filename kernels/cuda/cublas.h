// The cuBLAS that TensorFlow has loaded. Nothing is linked.
#pragma once
#include <cstddef>
#include <functional>

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

// Whether products may round their factors to TF32: NVIDIA's own switch, which all its libraries heed.
bool allowsTf32();

// Gives so many bytes of the device's memory until the op ends.
using Allocate = std::function<void*(size_t)>;

// Of the calling thread's CUDA context. All throw std::runtime_error for what cuBLAS refuses.
class Cublas {
 public:
  Cublas();
  Cublas(const Cublas&) = delete;
  // By one thread at a time. Which algorithm serves a shape is asked once: cublasGemmEx asks at every call, for 40 to 80 µs.
  void multiply(const Product& product, void* stream, const Allocate& allocate);

 private:
  struct State;
  State* state;  // never freed: at exit CUDA may be gone first
};
