// Products of which one side is a rank.
#pragma once
#include "call.h"
#include "kept.cuh"

// c [m, n] = alpha · a [m, k] · b [k, n], rows of c `strideC` apart. By kernels of our own, as precise as float32, where m or n
// is at most 16 and the large matrix lies as they read it, else by cuBLAS, which takes two to three times as long to read it.
void multiplySkinny(Call& call, int64_t m, int64_t n, int64_t k, float alpha, Matrix a, Matrix b, float* c,
                    int64_t strideC, bool tf32);

// Matrices that are to be added up, one after the other.
struct PartialSums {
  const float* numbers;
  int64_t count;
};

// Copies the kept columns of a [m, k], and gives a · b [m, n] in parts from the same reading, by kernels of our own for n ≤ 16.
PartialSums keepAndMultiply(Call& call, int64_t m, int64_t n, int64_t k, const float* a, Matrix b, bool tf32,
                      const KeptColumns& kept);
