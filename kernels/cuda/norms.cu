// Normalisation of rows of d numbers by their root mean square, or of layers (centred). A block a row.
#include "common.cuh"

struct Moments {
  float mean, inverse;
};

__device__ inline Moments momentsOf(const float* x, Size d, float epsilon, bool centred) {
  float mean = 0;
  if (centred) {
    float sum = 0;
    for (Size i = threadIdx.x; i < d; i += blockDim.x) sum += x[i];
    mean = sumOfBlock(sum) / d;
  }
  float squares = 0;
  for (Size i = threadIdx.x; i < d; i += blockDim.x) squares += (x[i] - mean) * (x[i] - mean);
  return {mean, 1 / sqrtf(sumOfBlock(squares) / d + epsilon)};
}

// y = (x − mean) · inverse · weight (+ bias); with a residual, x + residual is normalised and stored as sum.
KERNEL void norm_rows(const float* x, const float* residual, const float* weight,
                                     const float* bias, float* y, float* sum, Size d, float epsilon, int centred) {
  const Size row = (Size)blockIdx.x * d;
  const float* source = x + row;
  if (residual) {
    // each thread reads below what it has written itself
    for (Size i = threadIdx.x; i < d; i += blockDim.x) sum[row + i] = x[row + i] + residual[row + i];
    source = sum + row;
  }
  const Moments m = momentsOf(source, d, epsilon, centred);
  for (Size i = threadIdx.x; i < d; i += blockDim.x) {
    y[row + i] = (source[i] - m.mean) * m.inverse * weight[i] + (bias ? bias[i] : 0);
  }
}

// dx = inverse · (g − mean(g) − x̂ · mean(g · x̂)) (+ dSum), g = dy · weight; mean(g) only if centred.
KERNEL void norm_grad(const float* dy, const float* x, const float* weight, const float* dSum, float* dx,
                                     Size d, float epsilon, int centred) {
  const Size row = (Size)blockIdx.x * d;
  const Moments m = momentsOf(x + row, d, epsilon, centred);
  float gradients = 0, along = 0;
  for (Size i = threadIdx.x; i < d; i += blockDim.x) {
    const float g = dy[row + i] * weight[i];
    gradients += g;
    along += g * (x[row + i] - m.mean) * m.inverse;
  }
  const float mean = centred ? sumOfBlock(gradients) / d : 0;
  along = sumOfBlock(along) / d;
  for (Size i = threadIdx.x; i < d; i += blockDim.x) {
    const float normed = (x[row + i] - m.mean) * m.inverse;
    dx[row + i] = m.inverse * (dy[row + i] * weight[i] - mean - normed * along) + (dSum ? dSum[row + i] : 0);
  }
}

// [mean, inverse] of each row.
KERNEL void norm_moments(const float* x, float* moments, Size d, float epsilon, int centred) {
  const Moments m = momentsOf(x + (Size)blockIdx.x * d, d, epsilon, centred);
  if (threadIdx.x > 0) return;
  moments[2 * (Size)blockIdx.x] = m.mean;
  moments[2 * (Size)blockIdx.x + 1] = m.inverse;
}

// parts[y] = Σ dy · x̂ over rows y · part …, 32 columns and 8 rows at a time.
KERNEL void norm_weight_parts(const float* dy, const float* x, const float* moments, float* parts,
                                             Size rows, Size d, Size part) {
  const Size column = (Size)blockIdx.x * 32 + threadIdx.x, end = min(rows, (blockIdx.y + (Size)1) * part);
  float sum = 0;
  if (column < d) {
    for (Size row = blockIdx.y * part + threadIdx.y; row < end; row += 8) {
      sum += dy[row * d + column] * (x[row * d + column] - moments[2 * row]) * moments[2 * row + 1];
    }
  }
  __shared__ float sums[8][33];
  sums[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y > 0 || column >= d) return;
  for (int i = 1; i < 8; i++) sum += sums[i][threadIdx.x];
  parts[blockIdx.y * d + column] = sum;
}
