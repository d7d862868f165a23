// Products of which one side is a rank.
#pragma once
#include "call.h"

// c [m, n] = alpha · a [m, k] · b [k, n], rows of c `strideC` apart. By kernels of our own in float32 where m or n is at most
// 16 and the large matrix lies as they read it, else by cuBLAS, which takes two to three times as long to read it.
void multiplySkinny(Call& call, int64_t m, int64_t n, int64_t k, float alpha, Matrix a, Matrix b, float* c,
                    int64_t strideC, bool tf32);
