#!/usr/bin/env bash
# On a machine with an NVIDIA GPU: what the doctor says, the tests, then the benchmarks, of backend 'tensorflow'.
#   bash test/bench/gpu_tensorflow.sh [FOLDER for the results, default out/gpu] [PARTS: doctor tests ops gradient step large]
# In the project's root, after npm ci and npm run build:native, where tfjs-node-gpu is found (in node_modules, or in a folder
# of NODE_PATH) and so are CUDA's libraries. About eight minutes; a part that fails or takes too long stops no other.
backend=tensorflow
parts='doctor tests ops gradient step large'
. "$(dirname "$0")/gpu_parts.sh"
export TF_CPP_MIN_LOG_LEVEL=${TF_CPP_MIN_LOG_LEVEL:-2} TF_FORCE_GPU_ALLOW_GROWTH=${TF_FORCE_GPU_ALLOW_GROWTH:-true}
tensorflow="--backend $backend"
own="$tensorflow --flag CELORA_TENSORFLOW_OPS=true"
stock="$tensorflow --flag CELORA_TENSORFLOW_OPS=false"

if wants doctor; then
  doctor
fi
if wants tests; then
  # TF32 would be off by 1e-3
  NVIDIA_TF32_OVERRIDE=0 tests 200 tests 'test/{kernels,ops,gradients}/**/*_test.ts' --grep '\[tensorflow'
  # but for the tests of TF32 itself, which that variable keeps from it
  tests 60 tests-tf32 'test/kernels/**/*_test.ts' --grep '\[tensorflow.* in TF32'
fi
if wants ops; then
  bench 60 ops ops $tensorflow --rounds 5
fi
if wants gradient; then
  sizes='--shape 2048,4096,11008 --shape 2048,4096,4096 --shape 2048,2048,5632 --shape 2048,5632,2048 --shape 2048,2048,2048 --shape 2048,1024,2816'
  bench 120 gradient-tf32 gradient $own $sizes
  NVIDIA_TF32_OVERRIDE=0 bench 90 gradient-fp32 gradient $own --shape 2048,4096,11008 --shape 2048,1024,2816
fi
if wants step; then
  # the CPU's time counts in these, and V8 compiles a step's code for some 50 steps
  bench 90 step-tf32 step --own $own --rounds 60
  bench 60 step-stock-ops step --own $stock
  NVIDIA_TF32_OVERRIDE=0 bench 90 step-fp32 step --own $own --rounds 60
  bench 90 step-bfloat16 step --own $own --base bfloat16 --rounds 60
fi
if wants large; then
  large="--own $own --rounds 5 --shape 4096,11008,2,32,32,32000,8,1024"
  bench 90 step-large-tf32 step $large
  NVIDIA_TF32_OVERRIDE=0 bench 120 step-large-fp32 step $large
  bench 120 step-large-bfloat16 step $large --base bfloat16
fi
exit $failed
