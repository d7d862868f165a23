#include "tensorflow.h"

#include <dlfcn.h>
#include <link.h>

#include <cstring>
#include <stdexcept>

namespace tensorflow {

#define DEFINE(result, name, parameters) result(*name) parameters;
TENSORFLOW_FUNCTIONS(DEFINE)
#undef DEFINE

// What Eigen::StreamInterface begins with; not in a namespace without a name, where nobody else could derive from it.
struct Stream {
  virtual ~Stream() {}
  virtual void* const& stream() const = 0;
};

namespace {

// OpKernelContext::eigen_device<Eigen::GpuDevice>(), a member that TensorFlow exports from 1.15 to 2.21; its C API refuses
// to give the stream of its own GPU device. A TF_OpKernelContext* is an OpKernelContext*.
constexpr char GPU_DEVICE[] = "_ZNK10tensorflow15OpKernelContext12eigen_deviceIN5Eigen9GpuDeviceEEERKT_v";
const void* (*gpuDevice)(const void*);

int findLibrary(dl_phdr_info* info, size_t, void* path) {
  const char* slash = strrchr(info->dlpi_name, '/');
  const char* name = slash ? slash + 1 : info->dlpi_name;
  if (strncmp(name, "libtensorflow.so", 16) != 0 && strncmp(name, "libtensorflow_cc.so", 19) != 0) return 0;
  *static_cast<std::string*>(path) = info->dlpi_name;
  return 1;
}

}  // namespace

void find() {
  std::string path;
  dl_iterate_phdr(findLibrary, &path);
  void* library = path.empty() ? nullptr : dlopen(path.c_str(), RTLD_NOW | RTLD_NOLOAD);
  if (library == nullptr) throw std::runtime_error("TensorFlow is not loaded");
#define FIND(result, name, parameters)                                         \
  name = reinterpret_cast<result(*) parameters>(dlsym(library, #name));        \
  if (name == nullptr) throw std::runtime_error("TensorFlow has no function " #name);
  TENSORFLOW_FUNCTIONS(FIND)
#undef FIND
  // there TF_AllocateOutput does not set the output
  if (TF_Version()[0] < '2') throw std::runtime_error(std::string("TensorFlow is ") + TF_Version() + ", not 2");
  gpuDevice = reinterpret_cast<const void* (*)(const void*)>(dlsym(library, GPU_DEVICE));
}

bool hasStreams() { return gpuDevice != nullptr; }

void* streamOf(TF_OpKernelContext* context) {
  const auto* device = static_cast<const Stream* const*>(gpuDevice(context));
  return (*device)->stream();
}

void Status::check() {
  if (TF_GetCode(status) != TF_OK) throw std::runtime_error(TF_Message(status));
}

}  // namespace tensorflow
