#include "gpu.h"

#include <map>
#include <mutex>

#include "cuda_driver.h"

#define DEFINE(result, name, parameters) result(*name) parameters;
CUDA_FUNCTIONS(DEFINE)
#undef DEFINE

void checkCuda(int code, const char* what) {
  if (code == 0) return;
  const char* why = nullptr;
  cuGetErrorString(code, &why);
  throw std::runtime_error(std::string(what) + ": " + (why ? why : std::to_string(code)));
}

namespace {

// of cuda.h
constexpr int MAJOR = 75, MINOR = 76;

void findCuda() {
  void* library = dlopen("libcuda.so.1", RTLD_NOW);
  if (library == nullptr) throw std::runtime_error(dlerror());
  CUDA_FUNCTIONS(FIND_FUNCTION)
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
  void* module = nullptr;
  std::map<std::string, void*> kernels;
  Cublas cublas;
  int major = 0;
};

Gpu::Gpu() : state(new State) {
  int device, minor;
  int& major = state->major;
  checkCuda(cuCtxGetDevice(&device), "cuCtxGetDevice");
  checkCuda(cuDeviceGetAttribute(&major, MAJOR, device), "cuDeviceGetAttribute");
  checkCuda(cuDeviceGetAttribute(&minor, MINOR, device), "cuDeviceGetAttribute");
  checkCuda(cuModuleLoadData(&state->module, imageFor(major, minor)), "cuModuleLoadData");
}

Gpu& Gpu::current() {
  static auto& gpus = *new std::map<void*, Gpu*>;
  std::lock_guard<std::mutex> lock(mutex);
  static const bool found = (findCuda(), true);
  (void)found;
  void* context = nullptr;
  checkCuda(cuCtxGetCurrent(&context), "cuCtxGetCurrent");
  if (context == nullptr) throw std::runtime_error("TensorFlow has no CUDA context here");
  Gpu*& gpu = gpus[context];
  if (gpu == nullptr) gpu = new Gpu;
  return *gpu;
}

void Gpu::launch(const char* name, Dim grid, Dim block, void** arguments, void* stream) {
  void* kernel;
  {
    std::lock_guard<std::mutex> lock(mutex);
    void*& found = state->kernels[name];
    if (found == nullptr) checkCuda(cuModuleGetFunction(&found, state->module, name), name);
    kernel = found;
  }
  checkCuda(cuLaunchKernel(kernel, grid.x, grid.y, grid.z, block.x, block.y, block.z, 0, stream, arguments, nullptr), name);
}

void Gpu::multiply(const Product& product, void* stream, const Allocate& allocate) {
  std::lock_guard<std::mutex> lock(mutex);
  state->cublas.multiply(product, stream, allocate);
}

bool Gpu::multipliesBfloat16() const { return state->major >= 8; }

bool Gpu::multipliesTf32() const { return state->major >= 8 && allowsTf32(); }

void Gpu::clear(void* memory, size_t bytes, void* stream) {
  checkCuda(cuMemsetD8Async(memory, 0, bytes, stream), "cuMemsetD8Async");
}
