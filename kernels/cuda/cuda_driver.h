// The part of CUDA's driver interface that we use, found in libcuda.so.1: nothing is linked.
#pragma once
#include <dlfcn.h>

#include <stdexcept>
#include <string>

#define CUDA_FUNCTIONS(X)                                                                                      \
  X(int, cuGetErrorString, (int, const char**))                                                                \
  X(int, cuCtxGetCurrent, (void**))                                                                            \
  X(int, cuCtxGetDevice, (int*))                                                                               \
  X(int, cuDeviceGetAttribute, (int*, int, int))                                                               \
  X(int, cuModuleLoadData, (void**, const void*))                                                              \
  X(int, cuModuleGetFunction, (void**, void*, const char*))                                                    \
  X(int, cuMemsetD8Async, (void*, unsigned char, size_t, void*))                                               \
  X(int, cuEventCreate, (void**, unsigned))                                                                    \
  X(int, cuEventDestroy_v2, (void*))                                                                           \
  X(int, cuEventRecord, (void*, void*))                                                                        \
  X(int, cuEventSynchronize, (void*))                                                                          \
  X(int, cuEventElapsedTime, (float*, void*, void*))                                                           \
  X(int, cuLaunchKernel,                                                                                       \
    (void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void*, void**, void**))

#define DECLARE(result, name, parameters) extern result(*name) parameters;
CUDA_FUNCTIONS(DECLARE)
#undef DECLARE

// A function of `library`, into a pointer by its own name.
#define FIND_FUNCTION(result, name, parameters)                         \
  name = reinterpret_cast<result(*) parameters>(dlsym(library, #name)); \
  if (name == nullptr) throw std::runtime_error(std::string("there is no function ") + #name);

// Throws std::runtime_error unless CUDA says that it is well.
void checkCuda(int code, const char* what);

// A point in a stream.
class Event {
 public:
  Event() { checkCuda(cuEventCreate(&event, 0), "cuEventCreate"); }
  ~Event() { cuEventDestroy_v2(event); }
  Event(const Event&) = delete;
  void record(void* stream) { checkCuda(cuEventRecord(event, stream), "cuEventRecord"); }
  // Milliseconds from another one. Waits for this one.
  float since(const Event& other) const {
    float ms = 0;
    checkCuda(cuEventSynchronize(event), "cuEventSynchronize");
    checkCuda(cuEventElapsedTime(&ms, other.event, event), "cuEventElapsedTime");
    return ms;
  }

 private:
  void* event = nullptr;
};
