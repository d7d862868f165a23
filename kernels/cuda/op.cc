#include "op.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <sstream>
#include <type_traits>

using namespace tensorflow;

Attributes::Attributes(TF_OpKernelConstruction* construction) : construction(construction) {
  Status size, status;
  int32_t count = 0, bytes = 0;
  TF_OpKernelConstruction_GetAttrSize(construction, "settings", &count, &bytes, size);
  size.check();
  std::string all(bytes, '\0');
  TF_OpKernelConstruction_GetAttrString(construction, "settings", all.data(), bytes, status);
  status.check();
  std::stringstream parts(all);
  for (std::string part; std::getline(parts, part, ';');) {
    const size_t equals = std::min(part.find('='), part.size());
    settings[part.substr(0, equals)] = part.substr(std::min(equals + 1, part.size()));
  }
}

const std::string& Attributes::text(const char* name) const {
  const auto found = settings.find(name);
  if (found == settings.end()) throw InvalidInput(std::string("attribute ") + name + " is missing");
  return found->second;
}

template <class T>
static T parsed(const char* name, const std::string& text) {
  T value{};
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || rest != end) {
    const std::string kind = std::is_integral<T>::value ? " must be an integer" : " must be a number";
    throw InvalidInput("attribute " + (name + kind) + ", but is '" + text + "'");
  }
  return value;
}

float Attributes::real(const char* name) const { return parsed<float>(name, text(name)); }

int64_t Attributes::integer(const char* name) const { return parsed<int64_t>(name, text(name)); }

Shape Attributes::list(const char* name) const {
  Shape values;
  std::stringstream parts(text(name));
  for (std::string part; std::getline(parts, part, ',');) values.push_back(parsed<int64_t>(name, part));
  return values;
}

int64_t Attributes::count(const char* name) const {
  Status status;
  int64_t value = 0;
  TF_OpKernelConstruction_GetAttrInt64(construction, name, &value, status);
  status.check();
  return value;
}

void setFailure(TF_OpKernelContext* context, int code, const std::string& message) {
  Status status;
  TF_SetStatus(status, code, message.c_str());
  TF_OpKernelContext_Failure(context, status);
}

void setFailure(TF_OpKernelConstruction* construction, const std::string& message) {
  Status status;
  TF_SetStatus(status, TF_INVALID_ARGUMENT, message.c_str());
  TF_OpKernelConstruction_Failure(construction, status);
}

// No graph is made of our ops, so that nobody asks for shapes beforehand.
static void unknownShapes(TF_ShapeInferenceContext* context, TF_Status* status) {
  TF_ShapeInferenceContextSetUnknownShape(context, status);
}

static void define(const std::string& name, const OpDescription& description) {
  TF_OpDefinitionBuilder* builder = TF_NewOpDefinitionBuilder(name.c_str());
  TF_OpDefinitionBuilderAddInput(builder, "reals: N * float");
  TF_OpDefinitionBuilderAddInput(builder, "integers: M * int32");
  TF_OpDefinitionBuilderAddAttr(builder, "N: int >= 0");
  TF_OpDefinitionBuilderAddAttr(builder, "M: int >= 0 = 0");
  TF_OpDefinitionBuilderAddAttr(builder, "settings: string = ''");
  if (strcmp(description.outputs, "*") == 0) {
    TF_OpDefinitionBuilderAddOutput(builder, "outputs: K * float");
    TF_OpDefinitionBuilderAddAttr(builder, "K: int >= 1");
  } else {
    for (int i = 0; description.outputs[i]; i++) {
      const std::string type = description.outputs[i] == 'f' ? ": float" : ": int32";
      TF_OpDefinitionBuilderAddOutput(builder, ("output" + std::to_string(i) + type).c_str());
    }
  }
  TF_OpDefinitionBuilderSetShapeInferenceFunction(builder, unknownShapes);
  Status status;
  TF_RegisterOpDefinition(builder, status);
  status.check();
}

static bool isRegistered(const char* name) {
  TF_Buffer* list = TF_GetAllOpList();
  const bool found = list != nullptr && memmem(list->data, list->length, name, strlen(name)) != nullptr;
  TF_DeleteBuffer(list);
  return found;
}

void registerOps(const std::vector<Registration>& ops) {
  // another copy of the addon may have done it, in this thread or in another; a second time would end the process
  if (isRegistered(OP_PREFIX)) return;
  for (const Registration& op : ops) {
    const std::string name = std::string(OP_PREFIX) + op.description.name;
    define(name, op.description);
    const auto add = [&](const char* device, void (*run)(void*, TF_OpKernelContext*)) {
      Status status;
      TF_KernelBuilder* builder = TF_NewKernelBuilder(name.c_str(), device, op.create, run, op.destroy);
      TF_RegisterKernelBuilder(name.c_str(), builder, status);
      status.check();
    };
    add("CPU", op.runOnCpu);
    if (hasStreams()) add("GPU", op.runOnGpu);
  }
}
