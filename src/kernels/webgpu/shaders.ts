// Generated from kernels/webgpu/*.wgsl by kernels/webgpu/generate.mjs.

export const adamw_step = `// A step of AdamW on numbers, or vec4s, i; u.decayed counts numbers.
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= u.size) { return; }
//#if SCALED
  let g = scale[0] * grads[i];
//#else
  let g = grads[i];
//#end
  let mean = m[i] + u.share1 * (g - m[i]);
  let square = u.beta2 * v[i] + u.share2 * (g * g);
//#if VEC4
  let kept = select(vec4f(1), vec4f(u.kept), 4u * i + vec4u(0, 1, 2, 3) < vec4u(u.decayed));
//#else
  let kept = select(1.0, u.kept, i < u.decayed);
//#end
  newParams[i] = kept * params[i] - u.rate * (mean / (u.rootFactor * sqrt(square) + u.epsilon));
  newM[i] = mean;
  newV[i] = square;
}
`;

export const column_squares = `// parts[part, j] = Σ over the rows i of the part of dy[i, j]²: 64 columns and 4 rows at a time for a workgroup.
var<workgroup> sums: array<f32, 256>;

@compute @workgroup_size(64, 4)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) id: vec3u) {
  let j = group.x * 64u + id.x;
  var total = 0.0;
  if (j < u.n) {
    let end = min(u.m, (group.y + 1u) * u.part);
    for (var i = group.y * u.part + id.y; i < end; i += 4u) {
      let value = dy[i * u.n + j];
      total += value * value;
    }
  }
  sums[id.y * 64u + id.x] = total;
  workgroupBarrier();
  if (id.y == 0u && j < u.n) {
    parts[group.y * u.n + j] = sums[id.x] + sums[64u + id.x] + sums[128u + id.x] + sums[192u + id.x];
  }
}
`;

export const count_labels = `// counted = labels, −1 for those that do not count; scale = 1 / max(1, labels that count). One workgroup.
@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) thread: u32) {
  var count = 0.0;
  for (var i = thread; i < u.size; i += 256u) {
    let label = labels[i];
    let counts = label >= 0 && label < i32(u.classes) && label != bitcast<i32>(u.ignored);
    counted[i] = select(-1, label, counts);
    count += select(0.0, 1.0, counts);
  }
  let total = sumOfGroup(count, thread);
  if (thread == 0u) { scale[0] = 1.0 / max(1.0, total); }
}
`;

export const cross_entropy = `// top = the largest of each row of logits, total = Σ exp(logits − top), losses = log total + top − logit of the label, 0 for
// a label of −1. A workgroup a row, which it reads once: each thread scales what it has summed whenever its largest grows.
const LOWEST = -0x1.fffffep127f;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.x + group.y * groups.x;
  if (row >= u.rows) { return; }
  let start = row * u.width;
  var largest = LOWEST;
  var sum = 0.0;
  for (var i = thread; i < u.width; i += 256u) {
    let x = logits[start + i];
//#if VEC4
    let larger = max(max(largest, max(x.x, x.y)), max(x.z, x.w));
    sum = sum * exp(largest - larger) + dot(exp(x - larger), vec4f(1));
//#else
    let larger = max(largest, x);
    sum = sum * exp(largest - larger) + exp(x - larger);
//#end
    largest = larger;
  }
  let ofRow = maxOfGroup(largest, thread);
  let powers = sumOfGroup(sum * exp(largest - ofRow), thread);
  if (thread > 0u) { return; }
  top[row] = ofRow;
  total[row] = powers;
  let label = u32(max(0, labels[row]));
//#if VEC4
  let chosen = logits[start + label / 4u][label % 4u];
//#else
  let chosen = logits[start + label];
//#end
  // top − chosen first: large logits then lose no digits
  losses[row] = select(ofRow - chosen + log(powers), 0.0, labels[row] < 0);
}
`;

export const cross_entropy_grad = `// gradient = scale · (exp(logits − top) / total − 1 at the label), a row of 0 for a label of −1. A workgroup a row.
@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.x + group.y * groups.x;
  if (row >= u.rows) { return; }
  let start = row * u.width;
  let counts = labels[row] >= 0;
  let label = u32(max(0, labels[row]));
  let largest = top[row];
  let factor = scale[0] / total[row];
  for (var i = thread; i < u.width; i += 256u) {
    var slope = factor * exp(logits[start + i] - largest);
//#if VEC4
    if (i == label / 4u) { slope[label % 4u] -= scale[0]; }
    gradient[start + i] = select(vec4f(0), slope, counts);
//#else
    if (i == label) { slope -= scale[0]; }
    gradient[start + i] = select(0.0, slope, counts);
//#end
  }
}
`;

export const embedding_grad = `// dTable[id] = Σ of the rows of dy whose id it is, in their order. A workgroup for each id and 256 columns, or vec4s of them:
// its threads look for the id together, and then each sums a column.
var<workgroup> found: array<atomic<u32>, 8>;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let id = group.x + group.y * groups.x;
  if (id >= u.classes) { return; }
  let column = group.z * 256u + thread;
//#if VEC4
  var sum = vec4f(0);
//#else
  var sum = 0.0;
//#end
  for (var first = 0u; first < u.rows; first += 256u) {
    if (thread < 8u) { atomicStore(&found[thread], 0u); }
    workgroupBarrier();
    if (first + thread < u.rows && ids[first + thread] == id) {
      atomicOr(&found[thread / 32u], 1u << (thread % 32u));
    }
    workgroupBarrier();
    for (var word = 0u; word < 8u && column < u.width; word++) {
      for (var bits = atomicLoad(&found[word]); bits != 0u; bits &= bits - 1u) {
        sum += dy[(first + word * 32u + countTrailingZeros(bits)) * u.width + column];
      }
    }
    workgroupBarrier();
  }
  if (column < u.width) { dTable[id * u.width + column] = sum; }
}
`;

export const embedding_lookup = `// rows[i] = table[ids[i]], a workgroup each.
@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.x + group.y * groups.x;
  if (row >= u.rows) { return; }
  let start = ids[row] * u.width;
  for (var j = thread; j < u.width; j += 64u) { rows[row * u.width + j] = table[start + j]; }
}
`;

export const gathered_matrix = `// The same for a matrix whose columns are chosen: column k is column indices[k] of the buffer NAME of single numbers.
fn load_NAME(start: u32, column: u32, width: u32) -> vec4f {
//#if WHOLE
  return vec4f(
    NAME[start + indices[column]],
    NAME[start + indices[column + 1u]],
    NAME[start + indices[column + 2u]],
    NAME[start + indices[column + 3u]],
  );
//#else
  var v = vec4f(0);
  if (column < width) { v.x = NAME[start + indices[column]]; }
  if (column + 1u < width) { v.y = NAME[start + indices[column + 1u]]; }
  if (column + 2u < width) { v.z = NAME[start + indices[column + 2u]]; }
  if (column + 3u < width) { v.w = NAME[start + indices[column + 3u]]; }
  return v;
//#end
}
`;

export const gemm = `// C = activation(scale · Σ over segments s of A_s · B_s + bias), float32, of any size, batched over the workgroup's z.
//
// A_s is [m, depth_s], the rows of A_0 strideA numbers apart, or [depth, m] with A_KM; B_s is
// [n, depth_s], or [depth_s, n] with B_KN. ROWS: row i of A_0 is row rows[i] of its buffer times weights[i], and row i of
// the product is added to row rows[i] of C.
//
// A workgroup of 256 threads makes a tile of 16 RUN × 16 RUN numbers of C, RUN × RUN of them a thread, from slices of 16
// along the depth that it holds in workgroup memory. Measured on an H200 through Dawn, TFLOP/s at [2048, 11008] ·
// [11008, 4096]ᵀ with RUN = 8: 40.8; slices of 8 in two alternating buffers 34.8, slices of 32 35.2, the loop over a slice
// not unrolled 35.8, warps of 2 × 16 threads instead of 4 × 8 38.9.

const TILE = 16u * RUN;
const TILE4 = TILE / 4u;

alias Sums = array<vec4f, RUN * RUN / 4u>;
alias Moved = array<vec4f, 4>;

// [k][i / 4]: what a thread needs of one k lies side by side
var<workgroup> tileA: array<vec4f, 16u * TILE4>;
var<workgroup> tileB: array<vec4f, 16u * TILE4>;

// Adds the outer product of one k of the slice.
fn multiply(acc: ptr<function, Sums>, k: u32, tx: u32, ty: u32) {
//#if WIDE
  let a0 = tileA[k * TILE4 + ty];
  let a1 = tileA[k * TILE4 + 16u + ty];
  let b0 = tileB[k * TILE4 + tx];
  let b1 = tileB[k * TILE4 + 16u + tx];
  (*acc)[0] = fma(vec4f(a0.x), b0, (*acc)[0]);
  (*acc)[1] = fma(vec4f(a0.x), b1, (*acc)[1]);
  (*acc)[2] = fma(vec4f(a0.y), b0, (*acc)[2]);
  (*acc)[3] = fma(vec4f(a0.y), b1, (*acc)[3]);
  (*acc)[4] = fma(vec4f(a0.z), b0, (*acc)[4]);
  (*acc)[5] = fma(vec4f(a0.z), b1, (*acc)[5]);
  (*acc)[6] = fma(vec4f(a0.w), b0, (*acc)[6]);
  (*acc)[7] = fma(vec4f(a0.w), b1, (*acc)[7]);
  (*acc)[8] = fma(vec4f(a1.x), b0, (*acc)[8]);
  (*acc)[9] = fma(vec4f(a1.x), b1, (*acc)[9]);
  (*acc)[10] = fma(vec4f(a1.y), b0, (*acc)[10]);
  (*acc)[11] = fma(vec4f(a1.y), b1, (*acc)[11]);
  (*acc)[12] = fma(vec4f(a1.z), b0, (*acc)[12]);
  (*acc)[13] = fma(vec4f(a1.z), b1, (*acc)[13]);
  (*acc)[14] = fma(vec4f(a1.w), b0, (*acc)[14]);
  (*acc)[15] = fma(vec4f(a1.w), b1, (*acc)[15]);
//#else
  let a = tileA[k * TILE4 + ty];
  let b = tileB[k * TILE4 + tx];
  (*acc)[0] = fma(vec4f(a.x), b, (*acc)[0]);
  (*acc)[1] = fma(vec4f(a.y), b, (*acc)[1]);
  (*acc)[2] = fma(vec4f(a.z), b, (*acc)[2]);
  (*acc)[3] = fma(vec4f(a.w), b, (*acc)[3]);
//#end
}

fn multiplySlice(acc: ptr<function, Sums>, tx: u32, ty: u32) {
//#if WIDE
  multiply(acc, 0u, tx, ty);
  multiply(acc, 1u, tx, ty);
  multiply(acc, 2u, tx, ty);
  multiply(acc, 3u, tx, ty);
  multiply(acc, 4u, tx, ty);
  multiply(acc, 5u, tx, ty);
  multiply(acc, 6u, tx, ty);
  multiply(acc, 7u, tx, ty);
  multiply(acc, 8u, tx, ty);
  multiply(acc, 9u, tx, ty);
  multiply(acc, 10u, tx, ty);
  multiply(acc, 11u, tx, ty);
  multiply(acc, 12u, tx, ty);
  multiply(acc, 13u, tx, ty);
  multiply(acc, 14u, tx, ty);
  multiply(acc, 15u, tx, ty);
//#else
  for (var k = 0u; k < 16u; k++) { multiply(acc, k, tx, ty); }
//#end
}

//#if A_KM
// A: numbers i … i + 3 of row k.
fn readA(segment: u32, k: u32, i: u32, batch: u32) -> vec4f {
  if (k >= u.depth0) { return vec4f(0); }
  return load_a0(batch * u.batchA + k * u.strideA, i, u.m);
}
//#else
// A: numbers k … k + 3 of row i, which is the last one beyond it: what it gives is not stored.
fn readA(segment: u32, k: u32, i: u32, batch: u32) -> vec4f {
  let row = min(i, u.m - 1u);
//#if SEGMENTS_2
  if (segment == 1u) { return load_a1(row * u.depth1, k, u.depth1); }
//#end
//#if SEGMENTS_3
  if (segment == 2u) { return load_a2(row * u.depth2, k, u.depth2); }
//#end
//#if ROWS
  return weights[row] * load_a0(rows[row] * u.strideA, k, u.depth0);
//#else
  return load_a0(batch * u.batchA + row * u.strideA, k, u.depth0);
//#end
}
//#end

//#if B_KN
// B: numbers j … j + 3 of row k.
fn readB(segment: u32, k: u32, j: u32, batch: u32) -> vec4f {
//#if SEGMENTS_2
  if (segment == 1u) {
    if (k >= u.depth1) { return vec4f(0); }
    return load_b1(k * u.n, j, u.n);
  }
//#end
  if (k >= u.depth0) { return vec4f(0); }
  return load_b0(batch * u.batchB + k * u.n, j, u.n);
}
//#else
// B: numbers k … k + 3 of row j.
fn readB(segment: u32, k: u32, j: u32, batch: u32) -> vec4f {
  let row = min(j, u.n - 1u);
//#if SEGMENTS_2
  if (segment == 1u) { return load_b1(row * u.depth1, k, u.depth1); }
//#end
//#if SEGMENTS_3
  if (segment == 2u) { return load_b2(row * u.depth2, k, u.depth2); }
//#end
  return load_b0(batch * u.batchB + row * u.depth0, k, u.depth0);
}
//#end

fn activate(x: vec4f) -> vec4f {
//#if RELU
  return max(x, vec4f(0));
//#else
//#if ELU
  return select(x, exp(x) - 1.0, x < vec4f(0));
//#else
  return x;
//#end
//#end
}

fn store(i: u32, j: u32, batch: u32, value: vec4f) {
  if (i >= u.m || j >= u.n) { return; }
//#if ROWS
  let start = rows[i] * u.n + j;
//#else
  let start = batch * u.batchC + i * u.n + j;
//#end
//#if VEC4
//#if ROWS
  c[start / 4u] += value;
//#else
  c[start / 4u] = value;
//#end
//#else
  for (var x = 0u; x < min(4u, u.n - j); x++) {
//#if ROWS
    c[start + x] += value[x];
//#else
    c[start + x] = value[x];
//#end
  }
//#end
}

// What a thread moves of a slice, in registers on its way from memory: a block of 4 × 4 numbers that is turned (rows along
// k), or four vec4s that are not (rows along m or n). The first MOVERS threads move A, the last ones B.
const MOVERS = 4u * TILE4;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let lane = thread % 32u;
  let warp = thread / 32u;
  let tx = (warp % 2u) * 8u + lane % 8u;
  let ty = (warp / 2u) * 4u + lane / 8u;
  let row0 = group.y * TILE;
  let column0 = group.x * TILE;
  var acc: Sums;
  var moved: Moved;
  load(&moved, 0u, 0u, thread, row0, column0, group.z);
  for (var k = 0u; k < u.depth0; k += 16u) {
    put(&moved, thread);
    workgroupBarrier();
    // the next slice is under way while this one is multiplied
    if (k + 16u < u.depth0) { load(&moved, 0u, k + 16u, thread, row0, column0, group.z); }
    multiplySlice(&acc, tx, ty);
    workgroupBarrier();
  }
  // The other segments are short. In one loop with the first, deciding which one is next cost it a sixth of its speed.
//#if SEGMENTS_2
  for (var k = 0u; k < u.depth1; k += 16u) {
    load(&moved, 1u, k, thread, row0, column0, group.z);
    put(&moved, thread);
    workgroupBarrier();
    for (var x = 0u; x < 16u; x++) { multiply(&acc, x, tx, ty); }
    workgroupBarrier();
  }
//#end
//#if SEGMENTS_3
  for (var k = 0u; k < u.depth2; k += 16u) {
    load(&moved, 2u, k, thread, row0, column0, group.z);
    put(&moved, thread);
    workgroupBarrier();
    for (var x = 0u; x < 16u; x++) { multiply(&acc, x, tx, ty); }
    workgroupBarrier();
  }
//#end
  let i = row0 + ty * 4u;
  let j = column0 + tx * 4u;
//#if BIAS
  let bias0 = load_bias(0u, j, u.n);
//#else
  let bias0 = vec4f(0);
//#end
//#if WIDE
//#if BIAS
  let bias1 = load_bias(0u, j + 64u, u.n);
//#else
  let bias1 = vec4f(0);
//#end
  store(i, j, group.z, activate(u.scale * acc[0] + bias0));
  store(i, j + 64u, group.z, activate(u.scale * acc[1] + bias1));
  store(i + 1u, j, group.z, activate(u.scale * acc[2] + bias0));
  store(i + 1u, j + 64u, group.z, activate(u.scale * acc[3] + bias1));
  store(i + 2u, j, group.z, activate(u.scale * acc[4] + bias0));
  store(i + 2u, j + 64u, group.z, activate(u.scale * acc[5] + bias1));
  store(i + 3u, j, group.z, activate(u.scale * acc[6] + bias0));
  store(i + 3u, j + 64u, group.z, activate(u.scale * acc[7] + bias1));
  store(i + 64u, j, group.z, activate(u.scale * acc[8] + bias0));
  store(i + 64u, j + 64u, group.z, activate(u.scale * acc[9] + bias1));
  store(i + 65u, j, group.z, activate(u.scale * acc[10] + bias0));
  store(i + 65u, j + 64u, group.z, activate(u.scale * acc[11] + bias1));
  store(i + 66u, j, group.z, activate(u.scale * acc[12] + bias0));
  store(i + 66u, j + 64u, group.z, activate(u.scale * acc[13] + bias1));
  store(i + 67u, j, group.z, activate(u.scale * acc[14] + bias0));
  store(i + 67u, j + 64u, group.z, activate(u.scale * acc[15] + bias1));
//#else
  store(i, j, group.z, activate(u.scale * acc[0] + bias0));
  store(i + 1u, j, group.z, activate(u.scale * acc[1] + bias0));
  store(i + 2u, j, group.z, activate(u.scale * acc[2] + bias0));
  store(i + 3u, j, group.z, activate(u.scale * acc[3] + bias0));
//#end
}

fn load(moved: ptr<function, Moved>, segment: u32, start: u32, thread: u32, row0: u32, column0: u32, batch: u32) {
  if (thread < MOVERS) {
//#if A_KM
    let k = start + thread / TILE4;
    let i = row0 + (thread % TILE4) * 4u;
    (*moved)[0] = readA(segment, k, i, batch);
    (*moved)[1] = readA(segment, k + 4u, i, batch);
    (*moved)[2] = readA(segment, k + 8u, i, batch);
    (*moved)[3] = readA(segment, k + 12u, i, batch);
//#else
    let k = start + (thread % 4u) * 4u;
    let i = row0 + (thread / 4u) * 4u;
    (*moved)[0] = readA(segment, k, i, batch);
    (*moved)[1] = readA(segment, k, i + 1u, batch);
    (*moved)[2] = readA(segment, k, i + 2u, batch);
    (*moved)[3] = readA(segment, k, i + 3u, batch);
//#end
  } else if (thread >= 256u - MOVERS) {
    let item = thread + MOVERS - 256u;
//#if B_KN
    let k = start + item / TILE4;
    let j = column0 + (item % TILE4) * 4u;
    (*moved)[0] = readB(segment, k, j, batch);
    (*moved)[1] = readB(segment, k + 4u, j, batch);
    (*moved)[2] = readB(segment, k + 8u, j, batch);
    (*moved)[3] = readB(segment, k + 12u, j, batch);
//#else
    let k = start + (item % 4u) * 4u;
    let j = column0 + (item / 4u) * 4u;
    (*moved)[0] = readB(segment, k, j, batch);
    (*moved)[1] = readB(segment, k, j + 1u, batch);
    (*moved)[2] = readB(segment, k, j + 2u, batch);
    (*moved)[3] = readB(segment, k, j + 3u, batch);
//#end
  }
}

fn put(moved: ptr<function, Moved>, thread: u32) {
  if (thread < MOVERS) {
//#if A_KM
    tileA[thread] = (*moved)[0];
    tileA[thread + MOVERS] = (*moved)[1];
    tileA[thread + 2u * MOVERS] = (*moved)[2];
    tileA[thread + 3u * MOVERS] = (*moved)[3];
//#else
    let at = (thread % 4u) * MOVERS + thread / 4u;
    tileA[at] = vec4f((*moved)[0].x, (*moved)[1].x, (*moved)[2].x, (*moved)[3].x);
    tileA[at + TILE4] = vec4f((*moved)[0].y, (*moved)[1].y, (*moved)[2].y, (*moved)[3].y);
    tileA[at + 2u * TILE4] = vec4f((*moved)[0].z, (*moved)[1].z, (*moved)[2].z, (*moved)[3].z);
    tileA[at + 3u * TILE4] = vec4f((*moved)[0].w, (*moved)[1].w, (*moved)[2].w, (*moved)[3].w);
//#end
  } else if (thread >= 256u - MOVERS) {
    let item = thread + MOVERS - 256u;
//#if B_KN
    tileB[item] = (*moved)[0];
    tileB[item + MOVERS] = (*moved)[1];
    tileB[item + 2u * MOVERS] = (*moved)[2];
    tileB[item + 3u * MOVERS] = (*moved)[3];
//#else
    let at = (item % 4u) * MOVERS + item / 4u;
    tileB[at] = vec4f((*moved)[0].x, (*moved)[1].x, (*moved)[2].x, (*moved)[3].x);
    tileB[at + TILE4] = vec4f((*moved)[0].y, (*moved)[1].y, (*moved)[2].y, (*moved)[3].y);
    tileB[at + 2u * TILE4] = vec4f((*moved)[0].z, (*moved)[1].z, (*moved)[2].z, (*moved)[3].z);
    tileB[at + 3u * TILE4] = vec4f((*moved)[0].w, (*moved)[1].w, (*moved)[2].w, (*moved)[3].w);
//#end
  }
}
`;

export const global_norm = `// norm = √Σ squares, scale = 1 if norm ≤ maxNorm, else maxNorm / norm. One workgroup.
@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) thread: u32) {
  var sum = 0.0;
  for (var i = thread; i < u.size; i += 256u) { sum += squares[i]; }
  let all = sqrt(sumOfGroup(sum, thread));
  if (thread == 0u) {
    norm[0] = all;
    // not min(1, maxNorm / norm), which may be 1 for NaN
    scale[0] = select(u.maxNorm / all, 1.0, all <= u.maxNorm);
  }
}
`;

export const matrix = `// How a kernel reads the matrix NAME: four neighbours of a row. The matrix is a buffer of vec4s if VEC4, where a row is a
// whole number of them, and of single numbers otherwise.

// The numbers start + column … start + column + 3, 0 from start + width on. column is a multiple of 4; with VEC4 start and
// width are too. With WHOLE (and VEC4) it may give the following numbers instead of 0: the width of what is added up is a
// whole number of slices, and what lies beyond the other sides is not stored. Measured as in gemm.wgsl: 34.9 → 37.9 TFLOP/s.
fn load_NAME(start: u32, column: u32, width: u32) -> vec4f {
//#if WHOLE
  return NAME[(start + column) / 4u];
//#else
//#if VEC4
  return select(vec4f(0), NAME[(start + column) / 4u], column < width);
//#else
  let i = start + column;
  var v = vec4f(0);
  if (column < width) { v.x = NAME[i]; }
  if (column + 1u < width) { v.y = NAME[i + 1u]; }
  if (column + 2u < width) { v.z = NAME[i + 2u]; }
  if (column + 3u < width) { v.w = NAME[i + 3u]; }
  return v;
//#end
//#end
}
`;

export const pack_columns = `// packed[i, x] = W[i, I[x]] − Σ_r A0[i, r] B0[r, I[x]]: the kept columns of the residual, [in, k]. TURNED: W is [out, in].
@compute @workgroup_size(64, 4)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let x = id.x;
  let i = id.y;
  if (x >= u.k || i >= u.inputs) { return; }
  let column = indices[x];
//#if TURNED
  var value = kernel[column * u.inputs + i];
//#else
  var value = kernel[i * u.out + column];
//#end
//#if FACTORS
  for (var r = 0u; r < u.rank; r++) {
    value -= frozenA[i * u.rank + r] * frozenB[r * u.out + column];
  }
//#end
  packed[i * u.k + x] = value;
}
`;

export const random_uniform = `// The numbers 0 … size − 1 of one block of keys, from \`start\` on; see counter_hash.ts. With MASK what they decide: \`kept\` for
// those below \`keep\`, 0 for the others.

// A round of the network on (left, right).
fn turn(halves: vec2u, key: u32) -> vec2u {
  let difference = halves.y - key;
  return vec2u(halves.y, (halves.x + ((difference * difference) >> 5u)) & 4095u);
}

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 256u;
  if (i >= u.size) { return; }
  var halves = vec2u(i >> 12u, i & 4095u);
  halves = turn(halves, u.key0);
  halves = turn(halves, u.key1);
  halves = turn(halves, u.key2);
  halves = turn(halves, u.key3);
  halves = turn(halves, u.key4);
  let number = f32(halves.y * 4096u + halves.x) * 0x1p-24f;
//#if MASK
  values[u.start + i] = select(0.0, u.kept, number < u.keep);
//#else
  values[u.start + i] = number;
//#end
}
`;

export const reduce_group = `// Sum and maximum over the 256 threads of a workgroup, for each of them; to be called by all.
var<workgroup> reduced: array<f32, 256>;

fn sumOfGroup(value: f32, thread: u32) -> f32 {
  reduced[thread] = value;
  workgroupBarrier();
  for (var half = 128u; half > 0u; half /= 2u) {
    if (thread < half) { reduced[thread] += reduced[thread + half]; }
    workgroupBarrier();
  }
  let sum = reduced[0];
  workgroupBarrier();
  return sum;
}

fn maxOfGroup(value: f32, thread: u32) -> f32 {
  reduced[thread] = value;
  workgroupBarrier();
  for (var half = 128u; half > 0u; half /= 2u) {
    if (thread < half) { reduced[thread] = max(reduced[thread], reduced[thread + half]); }
    workgroupBarrier();
  }
  let top = reduced[0];
  workgroupBarrier();
  return top;
}
`;

export const row_squares = `// squares[row] = Σ of the squares of the numbers of the row, x being \`size\` numbers in rows of \`width\`, the last one maybe
// shorter; √ of it with ROOT. A workgroup a row.
@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.x + group.y * groups.x;
  if (row >= u.rows) { return; }
  let end = min(u.size, (row + 1u) * u.width);
  var sum = 0.0;
  for (var i = row * u.width + thread; i < end; i += 256u) {
//#if VEC4
    sum += dot(x[i], x[i]);
//#else
    sum += x[i] * x[i];
//#end
  }
  let all = sumOfGroup(sum, thread);
//#if ROOT
  if (thread == 0u) { squares[row] = sqrt(all); }
//#else
  if (thread == 0u) { squares[row] = all; }
//#end
}
`;

export const sample_rows = `// Draws \`rows\` of \`size\` rows with probabilities p = min(1, c · norm), Σp = rows: see portable/sample_rows.ts. One workgroup.
//
// p is never stored. c is raised in four rounds until what is not capped makes up for what is; a row that is capped stays so.
// A thread then has a run of neighbours: their cumulative sum is that of the runs before plus that of its own so far, the same
// number for the last row of a run as for the start of the next, so that no point falls between two rows or into both.

const TINY = 1e-30;
const MOST = 1e30;

// the sum of p, and the number of rows drawn, before each run
var<workgroup> sums: array<f32, 257>;
var<workgroup> counts: array<u32, 257>;

fn isNaN(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }

fn probability(i: u32, c: f32) -> f32 {
  let p = c * norms[i];
  return select(p, 1.0, p >= 1.0);
}

// Whether a point offset + j lies between the cumulative sums before and after a row.
fn isDrawn(before: f32, after: f32) -> bool { return ceil(after - u.offset) > ceil(before - u.offset); }

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) thread: u32) {
  var sum = 0.0;
  for (var i = thread; i < u.size; i += 256u) { sum += norms[i]; }
  var c = f32(u.rows) / (sumOfGroup(sum, thread) + TINY);
  for (var round = 0u; round < 4u; round++) {
    var free = 0.0;
    var ofFree = 0.0;
    for (var i = thread; i < u.size; i += 256u) {
      let p = probability(i, c);
      if (p < 1.0 || isNaN(p)) {
        free += 1.0;
        ofFree += p;
      }
    }
    let left = sumOfGroup(free, thread) + f32(u.rows) - f32(u.size);
    let factor = left / (sumOfGroup(ofFree, thread) + TINY);
    // not max(1, factor), which may be 1 for NaN; and c · 0 is to be 0
    if (isNaN(factor) || factor > 1.0) { c *= factor; }
    if (c > MOST) { c = MOST; }
  }

  let run = (u.size + 255u) / 256u;
  let start = min(thread * run, u.size);
  let end = min(start + run, u.size);
  var own = 0.0;
  for (var i = start; i < end; i++) { own += probability(i, c); }
  sums[thread + 1u] = own;
  workgroupBarrier();
  if (thread == 0u) {
    sums[0] = 0.0;
    for (var t = 1u; t <= 256u; t++) { sums[t] += sums[t - 1u]; }
  }
  workgroupBarrier();
  var count = 0u;
  var before = sums[thread];
  own = 0.0;
  for (var i = start; i < end; i++) {
    own += probability(i, c);
    let after = sums[thread] + own;
    count += select(0u, 1u, isDrawn(before, after));
    before = after;
  }
  counts[thread + 1u] = count;
  workgroupBarrier();
  if (thread == 0u) {
    counts[0] = 0u;
    for (var t = 1u; t <= 256u; t++) { counts[t] += counts[t - 1u]; }
  }
  workgroupBarrier();

  // the drawn rows, and in places left empty the first ones not drawn, with weight 0
  var to = counts[thread];
  before = sums[thread];
  own = 0.0;
  for (var i = start; i < end; i++) {
    let p = probability(i, c);
    own += p;
    let after = sums[thread] + own;
    let drawn = isDrawn(before, after);
    before = after;
    let place = select(counts[256] + i - to, to, drawn);
    to += select(0u, 1u, drawn);
    if (place < u.rows) {
      indices[place] = i32(i);
      weights[place] = select(select(0.0, p, isNaN(p)), 1.0 / p, drawn);
    }
  }
}
`;

export const select_columns = `// The indices of the k largest of \`size\` scores, ascending; of equal ones the first. One workgroup.
//
// Radix select: four rounds find the k-th largest from its highest byte to its lowest, each counting how many of the numbers
// that agree so far have which next byte. Then each thread copies, of a run of neighbours, those above it and the first
// ones equal to it.

var<workgroup> counts: array<atomic<u32>, 256>;
var<workgroup> found: array<u32, 2>;
var<workgroup> above: array<u32, 257>;
var<workgroup> equal: array<u32, 257>;

// A number whose order as an integer is that of the score; NaN comes first, so that it is not lost.
fn order(i: u32) -> u32 {
  let bits = bitcast<u32>(scores[i]);
  if ((bits & 0x7fffffffu) > 0x7f800000u) { return 0xffffffffu; }
  return select(bits | 0x80000000u, ~bits, bits >= 0x80000000u);
}

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) thread: u32) {
  var prefix = 0u;
  var left = u.k;
  for (var round = 0u; round < 4u; round++) {
    let shift = 24u - 8u * round;
    atomicStore(&counts[thread], 0u);
    workgroupBarrier();
    for (var i = thread; i < u.size; i += 256u) {
      let key = order(i);
      if (round == 0u || (key >> (shift + 8u)) == prefix) { atomicAdd(&counts[(key >> shift) & 255u], 1u); }
    }
    workgroupBarrier();
    if (thread == 0u) {
      var byte = 255u;
      var before = 0u;
      loop {
        let here = atomicLoad(&counts[byte]);
        if (before + here >= left || byte == 0u) { break; }
        before += here;
        byte--;
      }
      found[0] = byte;
      found[1] = before;
    }
    workgroupBarrier();
    prefix = (prefix << 8u) | workgroupUniformLoad(&found[0]);
    left -= workgroupUniformLoad(&found[1]);
  }
  // prefix is the k-th largest now, and \`left\` of those equal to it are taken
  let run = (u.size + 255u) / 256u;
  let start = min(thread * run, u.size);
  let end = min(start + run, u.size);
  var more = 0u;
  var same = 0u;
  for (var i = start; i < end; i++) {
    let key = order(i);
    more += select(0u, 1u, key > prefix);
    same += select(0u, 1u, key == prefix);
  }
  above[thread + 1u] = more;
  equal[thread + 1u] = same;
  workgroupBarrier();
  if (thread == 0u) {
    above[0] = 0u;
    equal[0] = 0u;
    for (var t = 1u; t <= 256u; t++) {
      above[t] += above[t - 1u];
      equal[t] += equal[t - 1u];
    }
  }
  workgroupBarrier();
  var taken = equal[thread];
  var to = above[thread] + min(taken, left);
  for (var i = start; i < end; i++) {
    let key = order(i);
    if (key > prefix || (key == prefix && taken < left)) {
      indices[to] = i32(i);
      to++;
    }
    taken += select(0u, 1u, key == prefix);
  }
}
`;

export const skinny = `// C = A · B where B has few columns (n ≤ 4 COLUMNS ≤ 32): A decides the time, and is read once. The depth is cut into parts,
// one for each z of the workgroups, so that many work on one row of tiles; C is [parts, m, n] ([parts, n, m] with
// C_TURNED), to be added up by sum_parts.
//
// A is [m, depth], or [depth, m] with A_KM; B is [n, depth], or [depth, n] with B_KN.
//
// A workgroup of 256 threads makes 64 rows of C. A thread has 4 rows and 4 columns; 16 / COLUMNS threads share these, each
// with its own k of a slice of 64, and add up at the end.

const SLICE = 64u;
const SHARE = 16u / COLUMNS;

// [k][row / 4], turned by k / 4 within a row of 16 so that neither writing nor reading meets one bank many times
var<workgroup> tileA: array<vec4f, SLICE * 16u>;
var<workgroup> tileB: array<vec4f, SLICE * COLUMNS>;
var<workgroup> sums: array<vec4f, 256>;
var<private> movedA: array<vec4f, 4>;
var<private> movedB: array<vec4f, 4>;

fn placeA(k: u32, block: u32) -> u32 { return k * 16u + (block ^ ((k / 4u) % 16u)); }

fn readA(k: u32, i: u32) -> vec4f {
//#if A_KM
  if (k >= u.depth) { return vec4f(0); }
  return load_a(k * u.m, i, u.m);
//#else
  return load_a(min(i, u.m - 1u) * u.depth, k, u.depth);
//#end
}

fn readB(k: u32, j: u32) -> vec4f {
//#if B_KN
  if (k >= u.depth) { return vec4f(0); }
  return load_b(k * u.n, j, u.n);
//#else
  return load_b(min(j, u.n - 1u) * u.depth, k, u.depth);
//#end
}

fn load(thread: u32, k0: u32, row0: u32) {
//#if A_KM
  let k = k0 + thread / 16u;
  let i = row0 + (thread % 16u) * 4u;
  movedA[0] = readA(k, i);
  movedA[1] = readA(k + 16u, i);
  movedA[2] = readA(k + 32u, i);
  movedA[3] = readA(k + 48u, i);
//#else
  let k = k0 + (thread % 16u) * 4u;
  let i = row0 + (thread / 16u) * 4u;
  movedA[0] = readA(k, i);
  movedA[1] = readA(k, i + 1u);
  movedA[2] = readA(k, i + 2u);
  movedA[3] = readA(k, i + 3u);
//#end
//#if B_KN
  movedB[0] = readB(k0 + thread / COLUMNS, (thread % COLUMNS) * 4u);
//#if MANY
  movedB[1] = readB(k0 + 32u + thread / COLUMNS, (thread % COLUMNS) * 4u);
//#end
//#else
  if (thread < 16u * COLUMNS) {
    let k = k0 + (thread % 16u) * 4u;
    let j = (thread / 16u) * 4u;
    movedB[0] = readB(k, j);
    movedB[1] = readB(k, j + 1u);
    movedB[2] = readB(k, j + 2u);
    movedB[3] = readB(k, j + 3u);
  }
//#end
}

fn put(thread: u32) {
//#if A_KM
  let k = thread / 16u;
  let block = thread % 16u;
  tileA[placeA(k, block)] = movedA[0];
  tileA[placeA(k + 16u, block)] = movedA[1];
  tileA[placeA(k + 32u, block)] = movedA[2];
  tileA[placeA(k + 48u, block)] = movedA[3];
//#else
  let k = (thread % 16u) * 4u;
  let block = thread / 16u;
  tileA[placeA(k, block)] = vec4f(movedA[0].x, movedA[1].x, movedA[2].x, movedA[3].x);
  tileA[placeA(k + 1u, block)] = vec4f(movedA[0].y, movedA[1].y, movedA[2].y, movedA[3].y);
  tileA[placeA(k + 2u, block)] = vec4f(movedA[0].z, movedA[1].z, movedA[2].z, movedA[3].z);
  tileA[placeA(k + 3u, block)] = vec4f(movedA[0].w, movedA[1].w, movedA[2].w, movedA[3].w);
//#end
//#if B_KN
  if (thread < SLICE * COLUMNS) { tileB[thread] = movedB[0]; }
//#if MANY
  tileB[thread + 256u] = movedB[1];
//#end
//#else
  if (thread < 16u * COLUMNS) {
    let to = (thread % 16u) * 4u * COLUMNS + thread / 16u;
    tileB[to] = vec4f(movedB[0].x, movedB[1].x, movedB[2].x, movedB[3].x);
    tileB[to + COLUMNS] = vec4f(movedB[0].y, movedB[1].y, movedB[2].y, movedB[3].y);
    tileB[to + 2u * COLUMNS] = vec4f(movedB[0].z, movedB[1].z, movedB[2].z, movedB[3].z);
    tileB[to + 3u * COLUMNS] = vec4f(movedB[0].w, movedB[1].w, movedB[2].w, movedB[3].w);
  }
//#end
}

fn store(part: u32, i: u32, j: u32, value: f32) {
  if (i >= u.m || j >= u.n) { return; }
//#if C_TURNED
  c[(part * u.n + j) * u.m + i] = value;
//#else
  c[(part * u.m + i) * u.n + j] = value;
//#end
}

fn addUp(thread: u32, to: u32, part: u32, i: u32, j: u32, value: vec4f) {
  sums[thread] = value;
  workgroupBarrier();
  if (thread < 16u * COLUMNS) {
    var total = vec4f(0);
    for (var x = 0u; x < SHARE; x++) { total += sums[x * 16u * COLUMNS + to]; }
    store(part, i, j, total.x);
    store(part, i, j + 1u, total.y);
    store(part, i, j + 2u, total.z);
    store(part, i, j + 3u, total.w);
  }
  workgroupBarrier();
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row0 = group.x * 64u;
  let block = thread % 16u;
  let column = (thread / 16u) % COLUMNS;
  let own = thread / (16u * COLUMNS);
  var s0 = vec4f(0);
  var s1 = vec4f(0);
  var s2 = vec4f(0);
  var s3 = vec4f(0);
  let first = group.z * u.part;
  let end = min(u.depth, first + u.part);
  load(thread, first, row0);
  for (var k = first; k < end; k += SLICE) {
    put(thread);
    workgroupBarrier();
    if (k + SLICE < end) { load(thread, k + SLICE, row0); }
    for (var x = own; x < SLICE; x += SHARE) {
      let a = tileA[placeA(x, block)];
      let b = tileB[x * COLUMNS + column];
      s0 = fma(vec4f(a.x), b, s0);
      s1 = fma(vec4f(a.y), b, s1);
      s2 = fma(vec4f(a.z), b, s2);
      s3 = fma(vec4f(a.w), b, s3);
    }
    workgroupBarrier();
  }
  // where this thread's part of a row of the block lies, and where the threads that share it have theirs
  let to = column * 16u + block;
  let i = row0 + block * 4u;
  addUp(thread, to, group.z, i, column * 4u, s0);
  addUp(thread, to, group.z, i + 1u, column * 4u, s1);
  addUp(thread, to, group.z, i + 2u, column * 4u, s2);
  addUp(thread, to, group.z, i + 3u, column * 4u, s3);
}
`;

export const sum_parts = `// out[i] = scale · Σ_part parts[part, i]; with ROOT √(Σ) · factors[i], the score of column i.
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= u.size) { return; }
  var total = 0.0;
  for (var part = 0u; part < u.parts; part++) { total += parts[part * u.size + i]; }
//#if ROOT
//#if FACTORS
  out[i] = sqrt(total) * factors[i];
//#else
  out[i] = sqrt(total);
//#end
//#else
  out[i] = u.scale * total;
//#end
}
`;
