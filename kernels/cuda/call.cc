#include "call.h"

#include <algorithm>

using namespace tensorflow;

int64_t sizeOf(const Shape& shape) {
  int64_t size = 1;
  for (const int64_t side : shape) {
    if (side < 0 || (side > 0 && size > (int64_t{1} << 40) / side)) {
      throw InvalidInput("a tensor of shape " + textOf(shape) + " is too large");
    }
    size *= side;
  }
  return size;
}

std::string textOf(const Shape& shape) {
  std::string text;
  for (const int64_t side : shape) {
    if (!text.empty()) text += ", ";
    text += side == ANY ? "any" : std::to_string(side);
  }
  return "[" + text + "]";
}

Call::Call(TF_OpKernelContext* context, bool onGpu, int reals) : context(context), onGpu(onGpu), realCount(reals) {
  if (onGpu) {
    gpu = &Gpu::current();
    stream = streamOf(context);
  }
  const int count = TF_NumInputs(context);
  tensors.reserve(count);
  for (int i = 0; i < count; i++) {
    Status status;
    TF_Tensor* tensor = nullptr;
    TF_GetInput(context, i, &tensor, status);
    status.check();
    tensors.push_back(tensor);
    Shape shape(TF_NumDims(tensor));
    for (size_t axis = 0; axis < shape.size(); axis++) shape[axis] = TF_Dim(tensor, axis);
    if (TF_TensorType(tensor) != (i < reals ? TF_FLOAT : TF_INT32)) throw InvalidInput("an input has the wrong dtype");
    inputs.push_back({TF_TensorData(tensor), shape});
  }
}

Call::~Call() {
  for (TF_Tensor* tensor : tensors) TF_DeleteTensor(tensor);
}

void Call::require(bool condition, const std::string& message) const {
  if (!condition) throw InvalidInput(message);
}

const Input& Call::real(int i, const char* name) const {
  require(i < realCount, std::string(name) + " is missing");
  return inputs[i];
}

static bool fits(const Shape& found, const Shape& wanted) {
  bool same = found.size() == wanted.size();
  for (size_t axis = 0; same && axis < wanted.size(); axis++) {
    same = wanted[axis] == ANY || wanted[axis] == found[axis];
  }
  return same;
}

static InvalidInput misfit(const char* name, const Shape& found, const Shape& wanted) {
  return InvalidInput(std::string(name) + " must be of shape " + textOf(wanted) + ", but is " + textOf(found));
}

static const Input& fitting(const Input& input, const char* name, const Shape& shape) {
  if (fits(input.shape, shape)) return input;
  throw misfit(name, input.shape, shape);
}

const Input& Call::real(int i, const char* name, const Shape& shape) const {
  return fitting(real(i, name), name, shape);
}

Input Call::flattened(int i, const char* name, const Shape& shape) const {
  const Input& input = real(i, name);
  Shape flat = input.shape;
  while (flat.size() > 2) {
    flat[1] *= flat[0];
    flat.erase(flat.begin());
  }
  if (!fits(flat, shape)) throw misfit(name, input.shape, shape);
  return {input.data, flat};
}

const Input& Call::integer(int i, const char* name, const Shape& shape) const {
  require(i >= 0 && i < integers(), std::string(name) + " is missing");
  return fitting(inputs[realCount + i], name, shape);
}

void Call::requireIndices(const Input& indices, const char* name, int64_t bound, int64_t from) const {
  if (onGpu) return;
  for (int64_t i = 0; i < indices.size(); i++) {
    const int index = indices.integers()[i];
    require(index >= from && index < bound, std::string(name) + " must be below " + std::to_string(bound) + ", but has " +
                                                std::to_string(index));
  }
}

void* Call::allocate(int index, int type, const Shape& shape) {
  Status status;
  TF_Tensor* tensor;
  if (index >= 0) {
    tensor = TF_AllocateOutput(context, index, type, shape.data(), shape.size(), 4 * sizeOf(shape), status);
  } else {
    TF_AllocatorAttributes attributes{sizeof(size_t) + 1, 0};
    sizeOf(shape);
    tensor = TF_AllocateTemp(context, type, shape.data(), shape.size(), &attributes, status);
  }
  if (tensor != nullptr) tensors.push_back(tensor);
  status.check();
  return TF_TensorData(tensor);
}

float* Call::output(int index, const Shape& shape) { return static_cast<float*>(allocate(index, TF_FLOAT, shape)); }
int* Call::integerOutput(int index, const Shape& shape) {
  return static_cast<int*>(allocate(index, TF_INT32, shape));
}
float* Call::temporary(const Shape& shape) { return static_cast<float*>(allocate(-1, TF_FLOAT, shape)); }

Dim Call::dimOf(const Shape& grid) {
  const auto side = [&](size_t axis) { return axis < grid.size() ? grid[axis] : 1; };
  if (side(0) > INT32_MAX || side(1) > 65535 || side(2) > 65535) {
    throw InvalidInput("the inputs are too large: a grid of " + textOf(grid) + " blocks");
  }
  return {static_cast<unsigned>(side(0)), static_cast<unsigned>(side(1)), static_cast<unsigned>(side(2))};
}

Shape Call::blocksFor(int64_t size) const {
  // 132 multiprocessors of 8 blocks each on an H200; fibers of a CPU cost something each
  const int64_t most = onGpu ? 132 * 8 : 1;
  return {std::min(most, (size + BLOCK - 1) / BLOCK)};
}

namespace {

float valueOf(float number) { return number; }
float valueOf(unsigned short bfloat16) { return __uint_as_float(static_cast<unsigned>(bfloat16) << 16); }

// Row by row, so that a compiler vectorises the inner loop.
template <class Number>
void multiplyOnCpu(const Product& p) {
  const auto* a = static_cast<const Number*>(p.a);
  const auto* b = static_cast<const Number*>(p.b);
  for (int64_t i = 0; i < p.m; i++) {
    float* row = p.c + i * p.strideC;
    for (int64_t j = 0; j < p.n; j++) row[j] = p.beta == 0 ? 0 : p.beta * row[j];
    for (int64_t l = 0; l < p.k; l++) {
      const float factor = p.alpha * valueOf(p.turnedA ? a[l * p.strideA + i] : a[i * p.strideA + l]);
      const Number* other = b + (p.turnedB ? l : l * p.strideB);
      const int64_t step = p.turnedB ? p.strideB : 1;
      for (int64_t j = 0; j < p.n; j++) row[j] += factor * valueOf(other[j * step]);
    }
  }
}

// cuBLAS's own limit.
int sideOf(int64_t side) {
  if (side <= INT32_MAX) return static_cast<int>(side);
  throw InvalidInput("a matrix has a side of " + std::to_string(side) + ", and cuBLAS takes less than 2^31");
}

}  // namespace

void Call::multiply(const Product& product) {
  if (product.m == 0 || product.n == 0) return;
  if (onGpu) {
    gpu->multiply(product, stream, [this](size_t bytes) { return temporary({static_cast<int64_t>(bytes / 4)}); });
  } else if (product.bfloat16) {
    multiplyOnCpu<unsigned short>(product);
  } else {
    multiplyOnCpu<float>(product);
  }
}

void Call::multiply(int64_t m, int64_t n, int64_t k, float alpha, Matrix a, Matrix b, float beta, float* c,
                    int64_t strideC, bool tf32) {
  multiply({sideOf(m), sideOf(n), sideOf(k), alpha, a.numbers, sideOf(a.stride), a.turned, b.numbers, sideOf(b.stride),
            b.turned, beta, c, sideOf(strideC), tf32, false});
}

void Call::multiplyBfloat16(int64_t m, int64_t n, int64_t k, const unsigned short* a, int64_t strideA,
                            const unsigned short* b, int64_t strideB, bool turnedB, float* c) {
  multiply({sideOf(m), sideOf(n), sideOf(k), 1, a, sideOf(strideA), false, b, sideOf(strideB), turnedB, 0, c, sideOf(n),
            false, true});
}

void Call::clear(float* numbers, int64_t size) {
  if (onGpu) gpu->clear(numbers, 4 * size, stream);
  else std::fill(numbers, numbers + size, 0.f);
}
