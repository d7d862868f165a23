#include <algorithm>

#include "elementwise.cu"
#include "ops.h"

namespace {

// Copies tensors into `flat` one behind the other, or back, some at a time.
void copyAll(Call& call, const std::vector<float*>& tensors, const std::vector<int64_t>& sizes, float* flat, bool back) {
  Size start = 0;
  for (size_t first = 0; first < tensors.size(); first += PARTS) {
    const size_t count = std::min<size_t>(PARTS, tensors.size() - first);
    Parts parts{};
    int64_t largest = 0;
    for (size_t i = 0; i < count; i++) {
      parts.tensors[i] = tensors[first + i];
      parts.starts[i] = start;
      start += sizes[first + i];
      largest = std::max(largest, sizes[first + i]);
    }
    parts.starts[count] = start;
    const int64_t blocks = std::min<int64_t>(call.blocksFor(largest)[0], 64);
    LAUNCH(call, copy_parts, {blocks, static_cast<int64_t>(count)}, {BLOCK}, parts, flat, back ? 1 : 0);
  }
}

// tensors → flat [n]
struct PackTensors {
  explicit PackTensors(const Attributes&) {}
  static constexpr OpDescription DESCRIPTION{"PackTensors", "f", ""};
  void run(Call& call) const {
    std::vector<float*> tensors;
    std::vector<int64_t> sizes;
    int64_t n = 0;
    for (int i = 0; i < call.reals(); i++) {
      const Input& tensor = call.real(i, "tensors");
      tensors.push_back(tensor.numbers());
      sizes.push_back(tensor.size());
      n += tensor.size();
    }
    copyAll(call, tensors, sizes, call.output(0, {n}), false);
  }
};

// flat [n] → tensors. shapes: of each, its rank and its sides.
struct UnpackTensors {
  std::vector<Shape> shapes;
  explicit UnpackTensors(const Attributes& attributes) {
    const Shape list = attributes.list("shapes");
    for (size_t at = 0; at < list.size();) {
      const int64_t rank = list[at++];
      if (rank < 0 || rank > static_cast<int64_t>(list.size() - at)) throw InvalidInput("shapes are cut off");
      shapes.emplace_back(list.begin() + at, list.begin() + at + rank);
      at += rank;
    }
    if (static_cast<int64_t>(shapes.size()) != attributes.count("K")) throw InvalidInput("shapes must be K shapes");
  }
  static constexpr OpDescription DESCRIPTION{"UnpackTensors", "*", "shapes: list(int)"};
  void run(Call& call) const {
    std::vector<int64_t> sizes;
    int64_t n = 0;
    for (const Shape& shape : shapes) {
      sizes.push_back(sizeOf(shape));
      n += sizes.back();
    }
    float* flat = call.real(0, "flat", {n}).numbers();
    std::vector<float*> tensors;
    for (size_t i = 0; i < shapes.size(); i++) tensors.push_back(call.output(i, shapes[i]));
    copyAll(call, tensors, sizes, flat, true);
  }
};

}  // namespace

std::vector<Registration> packOps() { return registrationsOf<PackTensors, UnpackTensors>(); }
