// How an op is described, and registered for the CPU and for GPUs.
//
// An op is a struct with `static constexpr OpDescription DESCRIPTION`, a constructor from its Attributes, and
// `void run(Call&) const`. Its inputs are any number of float32 and of int32 tensors; run checks them.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "call.h"

// The names of all our ops begin so; another number for every change of what they take or give.
#define OP_PREFIX "Celora7"

struct OpDescription {
  const char* name;
  // 'f' or 'i' each, float32 or int32; "*" for as many float32 ones as attribute K says.
  const char* outputs;
  // Names and types, "epsilon: float" for one, parted by ';'. An op gets them all in one attribute of TensorFlow's, the text
  // "epsilon=0.001;…" named settings: every attribute costs a microsecond in each call.
  const char* attributes;
};

// The attributes of an op by name. All throw InvalidInput for one that is missing or no number.
class Attributes {
 public:
  explicit Attributes(TF_OpKernelConstruction* construction);
  float real(const char* name) const;
  int64_t integer(const char* name) const;
  // Parted by commas.
  Shape list(const char* name) const;
  // How many inputs are float32, and outputs of an op with "*".
  int64_t count(const char* name) const;

 private:
  TF_OpKernelConstruction* construction;
  std::map<std::string, std::string> settings;
  const std::string& text(const char* name) const;
};

// What TensorFlow keeps of an op with its attributes.
template <class Op>
struct Kernel {
  Op op;
  int reals;
};

void setFailure(TF_OpKernelContext* context, int code, const std::string& message);
void setFailure(TF_OpKernelConstruction* construction, const std::string& message);

template <class Op>
void* createKernel(TF_OpKernelConstruction* construction) {
  try {
    const Attributes attributes(construction);
    return new Kernel<Op>{Op(attributes), static_cast<int>(attributes.count("N"))};
  } catch (const std::exception& error) {
    setFailure(construction, std::string(Op::DESCRIPTION.name) + ": " + error.what());
    return nullptr;
  }
}

template <class Op, bool ON_GPU>
void runKernel(void* pointer, TF_OpKernelContext* context) {
  const auto* kernel = static_cast<const Kernel<Op>*>(pointer);
  const std::string name = std::string(Op::DESCRIPTION.name) + ": ";
  try {
    Call call(context, ON_GPU, kernel->reals);
    kernel->op.run(call);
  } catch (const InvalidInput& error) {
    setFailure(context, TF_INVALID_ARGUMENT, name + error.what());
  } catch (const std::exception& error) {
    setFailure(context, TF_INTERNAL, name + error.what());
  }
}

template <class Op>
void deleteKernel(void* kernel) {
  delete static_cast<Kernel<Op>*>(kernel);
}

struct Registration {
  OpDescription description;
  void* (*create)(TF_OpKernelConstruction*);
  void (*runOnCpu)(void*, TF_OpKernelContext*);
  void (*runOnGpu)(void*, TF_OpKernelContext*);
  void (*destroy)(void*);
};

template <class... Ops>
std::vector<Registration> registrationsOf() {
  return {{Ops::DESCRIPTION, createKernel<Ops>, runKernel<Ops, false>, runKernel<Ops, true>, deleteKernel<Ops>}...};
}

// Registers ops with TensorFlow. Throws std::runtime_error if it refuses.
void registerOps(const std::vector<Registration>& ops);
