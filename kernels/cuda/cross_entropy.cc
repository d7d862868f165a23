#include "cross_entropy.cu"

#include "ops.h"

namespace {

constexpr int MOST_THREADS = 1024;

// int32 labels [N] → counted [N], scale []
struct CountLabels {
  int classes, ignored;
  explicit CountLabels(const Attributes& attributes)
      : classes(attributes.integer("classes")), ignored(attributes.integer("ignored")) {}
  static constexpr OpDescription DESCRIPTION{"CountLabels", "if", "classes: int;ignored: int"};
  void run(Call& call) const {
    const Input& labels = call.integer(0, "labels", {ANY});
    int* counted = call.integerOutput(0, labels.shape);
    float* scale = call.output(1, {});
    LAUNCH(call, count_labels, {1}, {MOST_THREADS}, labels.integers(), counted, scale, labels.size(), classes,
           ignored);
  }
};

// logits [N, V], int32 labels [N] → losses [N], top [N], total [N]
struct CrossEntropy {
  explicit CrossEntropy(const Attributes&) {}
  static constexpr OpDescription DESCRIPTION{"CrossEntropy", "fff", ""};
  void run(Call& call) const {
    const Input& logits = call.real(0, "logits", {ANY, ANY});
    const int64_t rows = logits.shape[0], classes = logits.shape[1];
    const Input& labels = call.integer(0, "labels", {rows});
    call.requireIndices(labels, "labels", classes, INT32_MIN);
    float* losses = call.output(0, {rows});
    float* top = call.output(1, {rows});
    float* total = call.output(2, {rows});
    LAUNCH(call, cross_entropy, {rows}, {BLOCK}, logits.numbers(), labels.integers(), losses, top, total, classes);
  }
};

// logits [N, V], top [N], total [N], scale [], int32 labels [N] → gradient [N, V]
struct CrossEntropyGrad {
  explicit CrossEntropyGrad(const Attributes&) {}
  static constexpr OpDescription DESCRIPTION{"CrossEntropyGrad", "f", ""};
  void run(Call& call) const {
    const Input& logits = call.real(0, "logits", {ANY, ANY});
    const int64_t rows = logits.shape[0], classes = logits.shape[1];
    const float* top = call.real(1, "top", {rows}).numbers();
    const float* total = call.real(2, "total", {rows}).numbers();
    const float* scale = call.real(3, "scale", {}).numbers();
    const Input& labels = call.integer(0, "labels", {rows});
    float* gradient = call.output(0, logits.shape);
    LAUNCH(call, cross_entropy_grad, {rows}, {BLOCK}, logits.numbers(), labels.integers(), top, total, scale,
           gradient, classes);
  }
};

}  // namespace

std::vector<Registration> crossEntropyOps() { return registrationsOf<CountLabels, CrossEntropy, CrossEntropyGrad>(); }
