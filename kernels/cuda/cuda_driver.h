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
