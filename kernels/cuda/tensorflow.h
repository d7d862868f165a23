// The part of TensorFlow's C API that we use, found in the copy that tfjs's binding has loaded: nothing is linked.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

extern "C" {
struct TF_Status;
struct TF_Tensor;
struct TF_OpDefinitionBuilder;
struct TF_KernelBuilder;
struct TF_OpKernelConstruction;
struct TF_OpKernelContext;
struct TF_ShapeInferenceContext;
struct TF_Buffer {
  const void* data;
  size_t length;
  void (*deallocate)(void*, size_t);
};
struct TF_AllocatorAttributes {
  size_t struct_size;
  unsigned char on_host;
};
}

enum { TF_FLOAT = 1, TF_INT32 = 3 };
enum { TF_OK = 0, TF_INVALID_ARGUMENT = 3, TF_INTERNAL = 13 };

#define TENSORFLOW_FUNCTIONS(X)                                                                                   \
  X(const char*, TF_Version, ())                                                                                  \
  X(TF_Buffer*, TF_GetAllOpList, ())                                                                              \
  X(void, TF_DeleteBuffer, (TF_Buffer*))                                                                          \
  X(TF_Status*, TF_NewStatus, ())                                                                                 \
  X(void, TF_DeleteStatus, (TF_Status*))                                                                          \
  X(int, TF_GetCode, (const TF_Status*))                                                                          \
  X(const char*, TF_Message, (const TF_Status*))                                                                  \
  X(void, TF_SetStatus, (TF_Status*, int, const char*))                                                           \
  X(TF_OpDefinitionBuilder*, TF_NewOpDefinitionBuilder, (const char*))                                            \
  X(void, TF_OpDefinitionBuilderAddAttr, (TF_OpDefinitionBuilder*, const char*))                                  \
  X(void, TF_OpDefinitionBuilderAddInput, (TF_OpDefinitionBuilder*, const char*))                                 \
  X(void, TF_OpDefinitionBuilderAddOutput, (TF_OpDefinitionBuilder*, const char*))                                \
  X(void, TF_OpDefinitionBuilderSetShapeInferenceFunction,                                                        \
    (TF_OpDefinitionBuilder*, void (*)(TF_ShapeInferenceContext*, TF_Status*)))                                   \
  X(void, TF_ShapeInferenceContextSetUnknownShape, (TF_ShapeInferenceContext*, TF_Status*))                       \
  X(void, TF_RegisterOpDefinition, (TF_OpDefinitionBuilder*, TF_Status*))                                         \
  X(TF_KernelBuilder*, TF_NewKernelBuilder,                                                                       \
    (const char*, const char*, void* (*)(TF_OpKernelConstruction*), void (*)(void*, TF_OpKernelContext*),         \
     void (*)(void*)))                                                                                            \
  X(void, TF_RegisterKernelBuilder, (const char*, TF_KernelBuilder*, TF_Status*))                                 \
  X(void, TF_OpKernelConstruction_GetAttrInt64, (TF_OpKernelConstruction*, const char*, int64_t*, TF_Status*))    \
  X(void, TF_OpKernelConstruction_GetAttrString,                                                                  \
    (TF_OpKernelConstruction*, const char*, char*, size_t, TF_Status*))                                            \
  X(void, TF_OpKernelConstruction_GetAttrSize,                                                                    \
    (TF_OpKernelConstruction*, const char*, int32_t*, int32_t*, TF_Status*))                                      \
  X(void, TF_OpKernelConstruction_Failure, (TF_OpKernelConstruction*, TF_Status*))                                \
  X(void, TF_OpKernelContext_Failure, (TF_OpKernelContext*, TF_Status*))                                          \
  X(int, TF_NumInputs, (TF_OpKernelContext*))                                                                     \
  X(void, TF_GetInput, (TF_OpKernelContext*, int, TF_Tensor**, TF_Status*))                                       \
  X(TF_Tensor*, TF_AllocateOutput, (TF_OpKernelContext*, int, int, const int64_t*, int, size_t, TF_Status*))      \
  X(TF_Tensor*, TF_AllocateTemp,                                                                                  \
    (TF_OpKernelContext*, int, const int64_t*, int, TF_AllocatorAttributes*, TF_Status*))                         \
  X(int, TF_TensorType, (const TF_Tensor*))                                                                       \
  X(int, TF_NumDims, (const TF_Tensor*))                                                                          \
  X(int64_t, TF_Dim, (const TF_Tensor*, int))                                                                     \
  X(void*, TF_TensorData, (const TF_Tensor*))                                                                     \
  X(void, TF_DeleteTensor, (TF_Tensor*))

// Pointers to the functions, by their own names.
namespace tensorflow {
#define DECLARE(result, name, parameters) extern result(*name) parameters;
TENSORFLOW_FUNCTIONS(DECLARE)
#undef DECLARE

// Finds them. Throws std::runtime_error if no TensorFlow is loaded, or one that lacks some.
void find();

// Whether kernels can be given TensorFlow's CUDA stream, and the stream, a CUstream.
bool hasStreams();
void* streamOf(TF_OpKernelContext* context);

class Status {
 public:
  Status() : status(TF_NewStatus()) {}
  ~Status() { TF_DeleteStatus(status); }
  Status(const Status&) = delete;
  operator TF_Status*() { return status; }
  // Throws std::runtime_error with the status' message, unless it is OK.
  void check();

 private:
  TF_Status* status;
};
}  // namespace tensorflow
