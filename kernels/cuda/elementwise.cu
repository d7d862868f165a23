// Kernels that treat numbers one by one.
#include "common.cuh"

// Σ parts[i], each of `size` numbers.
KERNEL void sum_parts(const float* parts, float* output, Size count, Size size) {
  for (Size i = firstOfGrid(); i < size; i += strideOfGrid()) {
    float sum = 0;
    for (Size part = 0; part < count; part++) sum += parts[part * size + i];
    output[i] = sum;
  }
}

// Both activations are x · σ(u): u = x, or for gelu √(8/π) · (x + 0.044715 x³).
__device__ inline float argumentOf(float x, int gelu) {
  return gelu ? 1.5957691216057308f * (x + 0.044715f * x * x * x) : x;
}
__device__ inline float slopeOf(float x, int gelu) {
  return gelu ? 1.5957691216057308f * (1 + 0.134145f * x * x) : 1;
}

KERNEL void gated_unit(const float* gate, const float* up, float* y, Size size, int gelu) {
  for (Size i = firstOfGrid(); i < size; i += strideOfGrid()) {
    y[i] = gate[i] / (1 + expf(-argumentOf(gate[i], gelu))) * up[i];
  }
}

KERNEL void gated_unit_grad(const float* dy, const float* gate, const float* up, float* dGate,
                                           float* dUp, Size size, int gelu) {
  for (Size i = firstOfGrid(); i < size; i += strideOfGrid()) {
    const float x = gate[i], sigmoid = 1 / (1 + expf(-argumentOf(x, gelu))), activated = x * sigmoid;
    // (x σ(u))′ = σ + xσ · (1 − σ) · u′
    dGate[i] = dy[i] * up[i] * (sigmoid + activated * (1 - sigmoid) * slopeOf(x, gelu));
    dUp[i] = dy[i] * activated;
  }
}

// Thread i has pair i of x [.., t, heads, pairs, 2], or [.., 2, pairs] if it is not interleaved.
KERNEL void rotary_embedding(const float* x, const float* cosines, const float* sines, float* y,
                                            Size size, Size t, Size heads, Size pairs, int interleaved, float sign) {
  for (Size i = firstOfGrid(); i < size; i += strideOfGrid()) {
    const Size head = i / pairs, pair = i % pairs, at = head / heads % t * pairs + pair;
    const Size first = 2 * head * pairs + (interleaved ? 2 * pair : pair);
    const Size second = first + (interleaved ? 1 : pairs);
    const float a = x[first], b = x[second], c = cosines[at], s = sign * sines[at];
    y[first] = a * c - b * s;
    y[second] = b * c + a * s;
  }
}

// What follows a product: y = activation(y + bias), in place. activation: 0 linear, 1 relu, 2 elu.
KERNEL void bias_activation(float* y, const float* bias, Size size, Size columns, int activation) {
  for (Size i = firstOfGrid(); i < size; i += strideOfGrid()) {
    const float value = y[i] + (bias ? bias[i % columns] : 0);
    // so written, NaN goes through
    y[i] = activation == 0 || value > 0 || isNaN(value) ? value : activation == 1 ? 0 : expm1f(value);
  }
}

// A step of AdamW. changing: [learning rate / (1 − β₁ᵗ), 1 / √(1 − β₂ᵗ), 1 − learning rate · decay].
KERNEL void adamw_step(const float* params, const float* grads, const float* m, const float* v,
                                      const float* changing, const float* scale, float* newParams, float* newM,
                                      float* newV, Size size, Size decayed, float share1, float beta2, float share2,
                                      float epsilon) {
  const float rate = changing[0], rootFactor = changing[1], kept = changing[2], factor = scale ? *scale : 1;
  for (Size i = firstOfGrid(); i < size; i += strideOfGrid()) {
    const float g = grads[i] * factor;
    const float first = m[i] + share1 * (g - m[i]), second = beta2 * v[i] + share2 * g * g;
    newM[i] = first;
    newV[i] = second;
    newParams[i] = params[i] * (i < decayed ? kept : 1) - rate * first / (rootFactor * sqrtf(second) + epsilon);
  }
}

// parts[block] = Σ x² of a block's numbers.
KERNEL void sum_squares(const float* x, float* parts, Size size) {
  float sum = 0;
  for (Size i = firstOfGrid(); i < size; i += strideOfGrid()) sum += x[i] * x[i];
  sum = sumOfBlock(sum);
  if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

// One block. norm = √Σ parts, scale = 1 if it is at most maxNorm, else maxNorm / norm, NaN for NaN.
KERNEL void global_norm(const float* parts, Size count, float* norm, float* scale, float maxNorm) {
  float sum = 0;
  for (Size i = threadIdx.x; i < count; i += blockDim.x) sum += parts[i];
  const float root = sqrtf(sumOfBlock(sum));
  if (threadIdx.x > 0) return;
  *norm = root;
  *scale = root <= maxNorm ? 1 : maxNorm / root;
}

constexpr int PARTS = 64;

// Tensors, and where each begins in a vector of them all.
struct Parts {
  float* tensors[PARTS];
  Size starts[PARTS + 1];
};

// Copies tensors into a vector one behind the other, or back; row y of the grid has tensor y.
KERNEL void copy_parts(Parts parts, float* flat, int back) {
  float* tensor = parts.tensors[blockIdx.y];
  float* place = flat + parts.starts[blockIdx.y];
  const Size size = parts.starts[blockIdx.y + 1] - parts.starts[blockIdx.y];
  for (Size i = firstOfGrid(); i < size; i += strideOfGrid()) {
    if (back) tensor[i] = place[i];
    else place[i] = tensor[i];
  }
}
