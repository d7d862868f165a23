#!/usr/bin/env bash
# On a machine with a GPU: what the doctor says, the tests, then the benchmarks, of backend 'webgpu' through Dawn in Node, and in
# Chromium.
#   bash test/bench/gpu_webgpu.sh [FOLDER for the results, default out/gpu]
#     [PARTS: doctor tests gradient jax sizes tune step small profile large half cold chromium]
# In the project's root, after npm ci, where Vulkan finds the GPU. About fifteen minutes; a part that fails or takes too long
# stops no other.
backend=webgpu
parts='doctor tests gradient jax sizes tune step small profile large half cold chromium'
. "$(dirname "$0")/gpu_parts.sh"
gpu="--backend $backend"

if wants doctor; then
  doctor
fi
if wants tests; then
  tests 300 tests 'test/{kernels,ops,gradients}/**/*_test.ts' --grep '\[webgpu'
fi
if wants gradient; then
  bench 90 gradient gradient $gpu --no-robustness
fi
if wants jax; then
  bench 60 jax jax $gpu
fi
if wants sizes; then
  bench 120 sizes sizes $gpu --rounds 5
fi
if wants tune; then
  bench 90 tune tune $gpu
fi
if wants step; then
  bench 240 step step $gpu --rounds 5
fi
if wants small; then
  # the embedded model of the demo with the batch of its page; then the 30 M parameters of the fidelity suite
  bench 150 step-demo step $gpu --shape 256,640,5,4,2,2048,4,128,tied --rounds 8
  small="$gpu --shape 512,1408,8,8,8,8192,16,256,tied --rounds 8"
  bench 90 step-small step $small --rows 'matMul, fixes' --rows 'exact LoRA' --rows CE-LoRA
fi
if wants profile; then
  bench 60 profile profile $gpu
fi
if wants large; then
  large="$gpu --shape 4096,11008,2,32,32,32000,8,1024"
  bench 150 step-large step --own $large
  bench 90 profile-large profile $large
fi
if wants half; then
  bench 100 step-float16 step $gpu --base float16 --rounds 5
  for shape in 2048,8192,16,32,8,128256,1,1024 2048,8192,24,32,32,49152,1,1024 3072,8192,28,24,8,128256,1,256; do
    bench 120 "step-float16-${shape%%,*}-$(cut -d, -f3 <<< "$shape")" step $gpu --base float16 --rows checkpointed --rounds 1 --shape "$shape,tied"
  done
fi
if wants cold; then
  bench 60 cold cold $gpu
  bench 60 cold-ahead cold --ahead $gpu
fi
if wants chromium; then
  # the log also has what Vulkan's loader finds
  DEBUG=pw:browser VK_LOADER_DEBUG=error,warn,driver bench 150 chromium chromium --own --rounds 3
fi
exit $failed
