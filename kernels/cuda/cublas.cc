#include "cublas.h"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
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

// Proposals that are timed, how often each, and the memory that they may use.
constexpr int MOST_PROPOSALS = 8, TIMES = 5;
constexpr size_t WORKSPACE = size_t{32} << 20;
// Below so many multiply-adds a product takes little longer than its launch.
constexpr double LARGE = 1e9;

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

// NVIDIA's own switch, which all its libraries heed.
bool allowsTf32() {
  const char* text = getenv("NVIDIA_TF32_OVERRIDE");
  return text == nullptr || strcmp(text, "0") != 0;
}

int computeOf(const Product& p) {
  static const bool allowed = allowsTf32();
  return p.tf32 && allowed && !p.bfloat16 ? COMPUTE_32F_FAST_TF32 : COMPUTE_32F;
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

  int run(Handle handle, const Product& p, void* stream, void* memory) const {
    return cublasLtMatmul(handle, description, &p.alpha, p.b, b, p.a, a, &p.beta, p.c, c, p.c, c, &algorithm, memory,
                          workspace, stream);
  }

  // What cuBLAS proposes, the best first as it thinks.
  int propose(Handle handle, const Product& p, Proposal* proposals) const {
    Preference preference;
    check(cublasLtMatmulPreferenceCreate(&preference), "cublasLtMatmulPreferenceCreate");
    cublasLtMatmulPreferenceSetAttribute(preference, MAX_WORKSPACE, &WORKSPACE, sizeof WORKSPACE);
    const void* operands[] = {p.b, p.a, p.c, p.c};
    for (int i = 0; i < 4; i++) {
      const uint32_t alignment = alignmentOf(operands[i]);
      cublasLtMatmulPreferenceSetAttribute(preference, MIN_ALIGNMENT_A + i, &alignment, sizeof alignment);
    }
    int count = 0;
    cublasLtMatmulAlgoGetHeuristic(handle, description, b, a, c, c, preference, MOST_PROPOSALS, proposals, &count);
    cublasLtMatmulPreferenceDestroy(preference);
    return count;
  }

  // Milliseconds of one run, or infinity.
  float time(Handle handle, const Product& p, void* stream, void* memory) const {
    if (run(handle, p, stream, memory) != 0) return INFINITY;
    Event start, end;
    start.record(stream);
    for (int i = 0; i < TIMES; i++) run(handle, p, stream, memory);
    end.record(stream);
    return end.since(start) / TIMES;
  }
};

}  // namespace

struct Cublas::State {
  Handle handle = nullptr;
  std::map<Key, std::optional<Shaped>> shapes;
};

Cublas::Cublas() : state(new State) {
  static const bool found = (findCublas(), true);
  (void)found;
  check(cublasCreate_v2(&state->handle), "cublasCreate");
}

static int proposalsTried() {
  const char* text = getenv("CELORA_CUBLAS_PROPOSALS");
  return text ? atoi(text) : 1;
}

// The fastest of what cuBLAS proposes for a large product, the first for others; none if it proposes nothing.
static std::optional<Shaped> chosenFor(Handle handle, const Product& p, void* stream, const Allocate& allocate) {
  static const int tried = proposalsTried();
  if (tried == 0) return {};
  Shaped shaped(p);
  Proposal proposals[MOST_PROPOSALS];
  int count = shaped.propose(handle, p, proposals);
  if (count == 0) return {};
  const auto take = [&](const Proposal& proposal) {
    shaped.algorithm = proposal.algorithm;
    shaped.workspace = proposal.workspace;
  };
  take(proposals[0]);
  count = std::min(tried, count);
  // an algorithm is timed by running it, which must not change c twice
  if (count <= 1 || p.beta != 0 || double(p.m) * p.n * p.k < LARGE) return shaped;
  void* memory = allocate(WORKSPACE);
  float least = INFINITY;
  int best = 0;
  for (int i = 0; i < count; i++) {
    take(proposals[i]);
    const float ms = shaped.time(handle, p, stream, memory);
    fprintf(stderr, "cublasLt %d %d %d turned %d %d tf32 %d bf16 %d proposal %d: %.4f ms, workspace %zu, waves %.2f\n", p.m,
            p.n, p.k, p.turnedA, p.turnedB, p.tf32, p.bfloat16, i, ms, shaped.workspace, proposals[i].waves);
    if (ms >= least) continue;
    least = ms;
    best = i;
  }
  take(proposals[best]);
  return shaped;
}

void Cublas::multiply(const Product& p, void* stream, const Allocate& allocate) {
  const Key key = keyOf(p);
  auto found = state->shapes.find(key);
  if (found == state->shapes.end()) {
    found = state->shapes.emplace(key, chosenFor(state->handle, p, stream, allocate)).first;
  }
  if (found->second) {
    const Shaped& shaped = *found->second;
    void* memory = shaped.workspace > 0 ? allocate(shaped.workspace) : nullptr;
    return check(shaped.run(state->handle, p, stream, memory), "cublasLtMatmul");
  }
  // cublasGemmEx takes any alignment
  check(cublasSetStream_v2(state->handle, stream), "cublasSetStream");
  const int type = typeOf(p);
  check(cublasGemmEx(state->handle, p.turnedB, p.turnedA, p.n, p.m, p.k, &p.alpha, p.b, type, p.strideB, p.a, type,
                     p.strideA, &p.beta, p.c, REAL_32, p.strideC, computeOf(p), DEFAULT_ALGORITHM),
        "cublasGemmEx");
}
