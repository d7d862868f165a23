// Cross-entropy of rows of logits, never storing a softmax.
#include "common.cuh"

// One block. counted = −1 for a label that does not count; scale = 1 / max(1, those that count).
KERNEL void count_labels(const int* labels, int* counted, float* scale, Size size, int classes,
                                        int ignored) {
  float sum = 0;
  for (Size i = threadIdx.x; i < size; i += blockDim.x) {
    const int label = labels[i];
    const bool counts = label >= 0 && label < classes && label != ignored;
    counted[i] = counts ? label : -1;
    sum += counts ? 1 : 0;
  }
  sum = sumOfBlock(sum);
  if (threadIdx.x == 0) *scale = 1 / fmaxf(sum, 1);
}

// A block a row, in one pass over it: each thread has the largest logit of its own and the sum of powers beside it.
KERNEL void cross_entropy(const float* logits, const int* labels, float* losses, float* top,
                                         float* total, Size classes) {
  const Size row = blockIdx.x;
  const float* x = logits + row * classes;
  float most = -INFINITY, sum = 0;
  for (Size i = threadIdx.x; i < classes; i += blockDim.x) {
    const float value = x[i];
    if (value > most) {
      sum *= expf(most - value);
      most = value;
    }
    sum += expf(value - most);
  }
  const float largest = largestOfBlock(most);
  const float powers = sumOfBlock(threadIdx.x < classes ? sum * expf(most - largest) : 0);
  if (threadIdx.x > 0) return;
  const int label = labels[row];
  top[row] = largest;
  total[row] = powers;
  // top − chosen first: large logits then lose no digits; a label out of range gives what nobody takes for a loss
  const bool exists = label < classes;
  losses[row] = label < 0 ? 0 : exists ? (largest - x[label]) + logf(powers) : NAN;
}

KERNEL void cross_entropy_grad(const float* logits, const int* labels, const float* top,
                                              const float* total, const float* scale, float* gradient, Size classes) {
  const Size row = blockIdx.x;
  const int label = labels[row];
  const float factor = *scale / total[row], largest = top[row];
  for (Size i = threadIdx.x; i < classes; i += blockDim.x) {
    const float slope = factor * expf(logits[row * classes + i] - largest) - (i == label ? *scale : 0);
    gradient[row * classes + i] = label < 0 ? 0 : slope;
  }
}
