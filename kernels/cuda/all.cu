// All device code, as one module.
#include "attention.cu"
#include "columns.cu"
#include "cross_entropy.cu"
#include "elementwise.cu"
#include "half.cu"
#include "norms.cu"
#include "rows.cu"
#include "skinny.cu"
