#include "gpu.h"

#include <dlfcn.h>

#include <map>
#include <mutex>
#include <stdexcept>
#include <string>

namespace {

typedef void *CUcontext, *CUmodule, *CUfunction, *CUstream, *cublasHandle_t;

#define CUDA_FUNCTIONS(X)                                                                                      \
  X(int, cuGetErrorString, (int, const char**))                                                                \
  X(int, cuCtxGetCurrent, (CUcontext*))                                                                        \
  X(int, cuCtxGetDevice, (int*))                                                                               \
  X(int, cuDeviceGetAttribute, (int*, int, int))                                                               \
  X(int, cuModuleLoadData, (CUmodule*, const void*))                                                           \
  X(int, cuModuleGetFunction, (CUfunction*, CUmodule, const char*))                                            \
  X(int, cuMemsetD8Async, (void*, unsigned char, size_t, CUstream))                                            \
  X(int, cuLaunchKernel,                                                                                       \
    (CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, CUstream, void**, void**))

#define CUBLAS_FUNCTIONS(X)                                                                                  \
  X(int, cublasCreate_v2, (cublasHandle_t*))                                                                 \
  X(int, cublasSetStream_v2, (cublasHandle_t, CUstream))                                                     \
  X(int, cublasGemmEx,                                                                                       \
    (cublasHandle_t, int, int, int, int, int, const void*, const void*, int, int, const void*, int, int,     \
     const void*, void*, int, int, int, int))

#define DEFINE(result, name, parameters) result(*name) parameters;
CUDA_FUNCTIONS(DEFINE)
CUBLAS_FUNCTIONS(DEFINE)
#undef DEFINE

// of cuda.h, library_types.h and cublas_api.h
constexpr int MAJOR = 75, MINOR = 76, REAL_32 = 0, REAL_16B = 14, COMPUTE_32F = 68, COMPUTE_32F_FAST_TF32 = 77, DEFAULT_ALGORITHM = -1;

#define FIND(result, name, parameters)                                  \
  name = reinterpret_cast<result(*) parameters>(dlsym(library, #name)); \
  if (name == nullptr) throw std::runtime_error(std::string("there is no function ") + #name);

void findCuda() {
  void* library = dlopen("libcuda.so.1", RTLD_NOW);
  if (library == nullptr) throw std::runtime_error(dlerror());
  CUDA_FUNCTIONS(FIND)
}

void findCublas() {
  void* library = nullptr;
  for (const char* name : {"libcublas.so.12", "libcublas.so.13", "libcublas.so.11"}) {
    if (library == nullptr) library = dlopen(name, RTLD_NOW | RTLD_NOLOAD);
  }
  if (library == nullptr) throw std::runtime_error("TensorFlow has loaded no libcublas");
  CUBLAS_FUNCTIONS(FIND)
}

void check(int code, const char* what) {
  if (code == 0) return;
  const char* why = nullptr;
  cuGetErrorString(code, &why);
  throw std::runtime_error(std::string(what) + ": " + (why ? why : std::to_string(code)));
}

// build_images.py makes them
#define IMAGE(name, file)                                                                                    \
  extern "C" const char name[] __attribute__((visibility("hidden")));                                        \
  asm(".section .rodata\n.balign 16\n.globl " #name "\n.hidden " #name "\n" #name ":\n.incbin \"images/" file \
      "\"\n.byte 0\n.text\n");
IMAGE(celoraImage70, "sm_70.cubin")
IMAGE(celoraImage75, "sm_75.cubin")
IMAGE(celoraImage80, "sm_80.cubin")
IMAGE(celoraImage90, "sm_90.cubin")
IMAGE(celoraImagePtx, "compute_80.ptx")

// Machine code serves the GPUs of its own major version, from its minor one on; what there is none for compiles the PTX.
const char* imageFor(int major, int minor) {
  if (major == 7) return minor >= 5 ? celoraImage75 : celoraImage70;
  if (major == 8) return celoraImage80;
  if (major == 9) return celoraImage90;
  return celoraImagePtx;
}

std::mutex mutex;

}  // namespace

struct Gpu::State {
  CUmodule module = nullptr;
  std::map<std::string, CUfunction> kernels;
  cublasHandle_t cublas = nullptr;
  int major = 0;
};

Gpu::Gpu() : state(new State) {
  int device, minor;
  int& major = state->major;
  check(cuCtxGetDevice(&device), "cuCtxGetDevice");
  check(cuDeviceGetAttribute(&major, MAJOR, device), "cuDeviceGetAttribute");
  check(cuDeviceGetAttribute(&minor, MINOR, device), "cuDeviceGetAttribute");
  check(cuModuleLoadData(&state->module, imageFor(major, minor)), "cuModuleLoadData");
  if (const int code = cublasCreate_v2(&state->cublas)) {
    throw std::runtime_error("cublasCreate: status " + std::to_string(code));
  }
}

Gpu& Gpu::current() {
  static auto& gpus = *new std::map<CUcontext, Gpu*>;
  std::lock_guard<std::mutex> lock(mutex);
  static const bool found = (findCuda(), findCublas(), true);
  (void)found;
  CUcontext context = nullptr;
  check(cuCtxGetCurrent(&context), "cuCtxGetCurrent");
  if (context == nullptr) throw std::runtime_error("TensorFlow has no CUDA context here");
  Gpu*& gpu = gpus[context];
  if (gpu == nullptr) gpu = new Gpu;
  return *gpu;
}

void Gpu::launch(const char* name, Dim grid, Dim block, void** arguments, void* stream) {
  CUfunction kernel;
  {
    std::lock_guard<std::mutex> lock(mutex);
    CUfunction& found = state->kernels[name];
    if (found == nullptr) check(cuModuleGetFunction(&found, state->module, name), name);
    kernel = found;
  }
  check(cuLaunchKernel(kernel, grid.x, grid.y, grid.z, block.x, block.y, block.z, 0, stream, arguments, nullptr), name);
}

// cuBLAS goes column by column, so that it sees every matrix turned: cᵀ = bᵀ aᵀ.
void Gpu::multiply(const Product& p, void* stream) {
  const int type = p.bfloat16 ? REAL_16B : REAL_32;
  const int compute = p.tf32 && !p.bfloat16 ? COMPUTE_32F_FAST_TF32 : COMPUTE_32F;
  std::lock_guard<std::mutex> lock(mutex);  // the handle has one stream at a time
  int code = cublasSetStream_v2(state->cublas, stream);
  if (code == 0) {
    code = cublasGemmEx(state->cublas, p.turnedB, p.turnedA, p.n, p.m, p.k, &p.alpha, p.b, type, p.strideB, p.a, type,
                        p.strideA, &p.beta, p.c, REAL_32, p.strideC, compute, DEFAULT_ALGORITHM);
  }
  if (code != 0) throw std::runtime_error("cublasGemmEx: status " + std::to_string(code));
}

bool Gpu::multipliesBfloat16() const { return state->major >= 8; }

void Gpu::clear(void* memory, size_t bytes, void* stream) {
  check(cuMemsetD8Async(memory, 0, bytes, stream), "cuMemsetD8Async");
}
