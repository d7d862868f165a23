// Matrices at half precision, 16 bits a number: bfloat16 ones if `brain` is not 0, else float16 ones. Rows are `stride` numbers
// apart, an even count, and what fills them up is 0: two numbers make a word of an int32 tensor.
#include "half.cuh"

// from [rows, columns] → to, of size = rows · stride numbers.
KERNEL void pack_half(const float* from, unsigned short* to, Size size, Size columns, Size stride, int brain) {
  for (Size i = firstOfGrid(); i < size; i += strideOfGrid()) {
    const Size column = i % stride;
    to[i] = column < columns ? (unsigned short)encodeHalf(from[i / stride * columns + column], brain) : 0;
  }
}

// from → to [rows, columns], size = rows · columns.
KERNEL void unpack_half(const unsigned short* from, float* to, Size size, Size columns, Size stride, int brain) {
  for (Size i = firstOfGrid(); i < size; i += strideOfGrid()) {
    to[i] = decodeHalf(from[i / columns * stride + i % columns], brain);
  }
}

// to[i, :] = table[ids[i], :], size = ids · columns; NaN for an id that is out of range.
KERNEL void lookup_half(const unsigned short* table, const int* ids, float* to, Size size, Size rows, Size columns,
                        Size stride, int brain) {
  for (Size i = firstOfGrid(); i < size; i += strideOfGrid()) {
    const Size row = ids[i / columns];
    to[i] = row >= 0 && row < rows ? decodeHalf(table[row * stride + i % columns], brain) : NAN;
  }
}
