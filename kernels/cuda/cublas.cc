#include "cublas.h"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>

#include "cuda_driver.h"

namespace {

typedef void *Handle, *Description, *Layout, *Preference;
struct Algorithm {
  uint64_t data[8];
};
struct Proposal {
  Algorithm algorithm;
  size_t workspace;
  int status;
  float waves;
  int reserved[4];
};

#define CUBLAS_FUNCTIONS(X)                                                                              \
  X(int, cublasCreate_v2, (Handle*))                                                                     \
  X(int, cublasSetStream_v2, (Handle, void*))                                                            \
  X(int, cublasGemmEx,                                                                                   \
    (Handle, int, int, int, int, int, const void*, const void*, int, int, const void*, int, int, const void*, void*, \
     int, int, int, int))

#define LT_FUNCTIONS(X)                                                                                  \
  X(int, cublasLtMatmulDescCreate, (Description*, int, int))                                             \
  X(int, cublasLtMatmulDescSetAttribute, (Description, int, const void*, size_t))                        \
  X(int, cublasLtMatrixLayoutCreate, (Layout*, int, uint64_t, uint64_t, int64_t))                        \
  X(int, cublasLtMatmulPreferenceCreate, (Preference*))                                                  \
  X(int, cublasLtMatmulPreferenceDestroy, (Preference))                                                  \
  X(int, cublasLtMatmulPreferenceSetAttribute, (Preference, int, const void*, size_t))                   \
  X(int, cublasLtMatmulAlgoGetHeuristic,                                                                 \
    (Handle, Description, Layout, Layout, Layout, Layout, Preference, int, Proposal*, int*))             \
  X(int, cublasLtMatmul,                                                                                 \
    (Handle, Description, const void*, const void*, Layout, const void*, Layout, const void*, const void*, Layout, void*, \
     Layout, const Algorithm*, void*, size_t, void*))

#define DEFINE(result, name, parameters) result(*name) parameters;
CUBLAS_FUNCTIONS(DEFINE)
LT_FUNCTIONS(DEFINE)
#undef DEFINE

// of library_types.h, cublas_api.h and cublasLt.h
constexpr int REAL_32 = 0, REAL_16B = 14, COMPUTE_32F = 68, COMPUTE_32F_FAST_TF32 = 77, DEFAULT_ALGORITHM = -1;
constexpr int TRANSPOSE_A = 3, TRANSPOSE_B = 4, MAX_WORKSPACE = 1, MIN_ALIGNMENT_A = 5;

// What an algorithm may use of the device's memory.
constexpr size_t WORKSPACE = size_t{32} << 20;

// The library by the first name under which TensorFlow has loaded it.
void* loaded(const std::string& name) {
  for (const char* version : {"12", "13", "11"}) {
    if (void* library = dlopen((name + ".so." + version).c_str(), RTLD_NOW | RTLD_NOLOAD)) return library;
  }
  throw std::runtime_error("TensorFlow has loaded no " + name);
}

void findCublas() {
  void* library = loaded("libcublas");
  CUBLAS_FUNCTIONS(FIND_FUNCTION)
  library = loaded("libcublasLt");
  LT_FUNCTIONS(FIND_FUNCTION)
}

void check(int status, const char* what) {
  if (status != 0) throw std::runtime_error(std::string(what) + ": status " + std::to_string(status));
}

int typeOf(const Product& p) { return p.bfloat16 ? REAL_16B : REAL_32; }

int computeOf(const Product& p) {
  return p.tf32 && allowsTf32() && !p.bfloat16 ? COMPUTE_32F_FAST_TF32 : COMPUTE_32F;
}

uint32_t alignmentOf(const void* pointer) {
  const auto address = reinterpret_cast<uintptr_t>(pointer);
  return static_cast<uint32_t>(std::min<uintptr_t>(256, address & (~address + 1)));
}

// What an algorithm is chosen for.
typedef std::array<int64_t, 14> Key;
Key keyOf(const Product& p) {
  return {p.m, p.n, p.k, p.strideA, p.strideB, p.strideC, p.turnedA, p.turnedB, p.tf32, p.bfloat16,
          alignmentOf(p.a), alignmentOf(p.b), alignmentOf(p.c), p.beta != 0};
}

Layout layoutOf(int type, int64_t rows, int64_t columns, int64_t stride) {
  Layout layout;
  check(cublasLtMatrixLayoutCreate(&layout, type, rows, columns, stride), "cublasLtMatrixLayoutCreate");
  return layout;
}

// A product of one shape. cuBLAS goes column by column, so that it sees every matrix turned: cᵀ = bᵀ aᵀ.
struct Shaped {
  Description description;
  Layout a, b, c;
  Algorithm algorithm;
  size_t workspace;

  explicit Shaped(const Product& p) {
    const int type = typeOf(p);
    check(cublasLtMatmulDescCreate(&description, computeOf(p), REAL_32), "cublasLtMatmulDescCreate");
    const int32_t first = p.turnedB, second = p.turnedA;
    cublasLtMatmulDescSetAttribute(description, TRANSPOSE_A, &first, sizeof first);
    cublasLtMatmulDescSetAttribute(description, TRANSPOSE_B, &second, sizeof second);
    a = p.turnedA ? layoutOf(type, p.m, p.k, p.strideA) : layoutOf(type, p.k, p.m, p.strideA);
    b = p.turnedB ? layoutOf(type, p.k, p.n, p.strideB) : layoutOf(type, p.n, p.k, p.strideB);
    c = layoutOf(REAL_32, p.n, p.m, p.strideC);
  }

  // Takes what cuBLAS proposes first; false if it proposes nothing.
  bool choose(Handle handle, const Product& p) {
    Preference preference;
    check(cublasLtMatmulPreferenceCreate(&preference), "cublasLtMatmulPreferenceCreate");
    cublasLtMatmulPreferenceSetAttribute(preference, MAX_WORKSPACE, &WORKSPACE, sizeof WORKSPACE);
    const void* operands[] = {p.b, p.a, p.c, p.c};
    for (int i = 0; i < 4; i++) {
      const uint32_t alignment = alignmentOf(operands[i]);
      cublasLtMatmulPreferenceSetAttribute(preference, MIN_ALIGNMENT_A + i, &alignment, sizeof alignment);
    }
    Proposal proposal{};
    int count = 0;
    cublasLtMatmulAlgoGetHeuristic(handle, description, b, a, c, c, preference, 1, &proposal, &count);
    cublasLtMatmulPreferenceDestroy(preference);
    algorithm = proposal.algorithm;
    workspace = proposal.workspace;
    return count > 0;
  }

  void run(Handle handle, const Product& p, void* stream, void* memory) const {
    check(cublasLtMatmul(handle, description, &p.alpha, p.b, b, p.a, a, &p.beta, p.c, c, p.c, c, &algorithm, memory,
                         workspace, stream),
          "cublasLtMatmul");
  }
};

}  // namespace

bool allowsTf32() {
  static const bool allowed = [] {
    const char* text = getenv("NVIDIA_TF32_OVERRIDE");
    return text == nullptr || strcmp(text, "0") != 0;
  }();
  return allowed;
}

struct Cublas::State {
  Handle handle = nullptr;
  std::map<Key, std::optional<Shaped>> shapes;
};

Cublas::Cublas() : state(new State) {
  static const bool found = (findCublas(), true);
  (void)found;
  check(cublasCreate_v2(&state->handle), "cublasCreate");
}

void Cublas::multiply(const Product& p, void* stream, const Allocate& allocate) {
  const Key key = keyOf(p);
  auto found = state->shapes.find(key);
  if (found == state->shapes.end()) {
    Shaped shaped(p);
    const bool proposed = shaped.choose(state->handle, p);
    found = state->shapes.emplace(key, proposed ? std::optional<Shaped>(shaped) : std::nullopt).first;
  }
  if (found->second) {
    const Shaped& shaped = *found->second;
    return shaped.run(state->handle, p, stream, shaped.workspace > 0 ? allocate(shaped.workspace) : nullptr);
  }
  // cublasGemmEx takes any alignment
  check(cublasSetStream_v2(state->handle, stream), "cublasSetStream");
  const int type = typeOf(p);
  check(cublasGemmEx(state->handle, p.turnedB, p.turnedA, p.n, p.m, p.k, &p.alpha, p.b, type, p.strideB, p.a, type,
                     p.strideA, &p.beta, p.c, REAL_32, p.strideC, computeOf(p), DEFAULT_ALGORITHM),
        "cublasGemmEx");
}
