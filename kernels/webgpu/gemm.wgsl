// C = activation(scale · Σ over segments s of A_s · B_s + bias), float32, of any size, batched over the workgroup's z.
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

// [k][i / 4]: what a thread needs of one k lies side by side
var<workgroup> tileA: array<vec4f, 16u * TILE4>;
var<workgroup> tileB: array<vec4f, 16u * TILE4>;
var<private> acc: array<vec4f, RUN * RUN / 4u>;
var<private> tx: u32;
var<private> ty: u32;

// Adds the outer product of one k of the slice.
fn multiply(k: u32) {
//#if WIDE
  let a0 = tileA[k * TILE4 + ty];
  let a1 = tileA[k * TILE4 + 16u + ty];
  let b0 = tileB[k * TILE4 + tx];
  let b1 = tileB[k * TILE4 + 16u + tx];
  acc[0] = fma(vec4f(a0.x), b0, acc[0]);
  acc[1] = fma(vec4f(a0.x), b1, acc[1]);
  acc[2] = fma(vec4f(a0.y), b0, acc[2]);
  acc[3] = fma(vec4f(a0.y), b1, acc[3]);
  acc[4] = fma(vec4f(a0.z), b0, acc[4]);
  acc[5] = fma(vec4f(a0.z), b1, acc[5]);
  acc[6] = fma(vec4f(a0.w), b0, acc[6]);
  acc[7] = fma(vec4f(a0.w), b1, acc[7]);
  acc[8] = fma(vec4f(a1.x), b0, acc[8]);
  acc[9] = fma(vec4f(a1.x), b1, acc[9]);
  acc[10] = fma(vec4f(a1.y), b0, acc[10]);
  acc[11] = fma(vec4f(a1.y), b1, acc[11]);
  acc[12] = fma(vec4f(a1.z), b0, acc[12]);
  acc[13] = fma(vec4f(a1.z), b1, acc[13]);
  acc[14] = fma(vec4f(a1.w), b0, acc[14]);
  acc[15] = fma(vec4f(a1.w), b1, acc[15]);
//#else
  let a = tileA[k * TILE4 + ty];
  let b = tileB[k * TILE4 + tx];
  acc[0] = fma(vec4f(a.x), b, acc[0]);
  acc[1] = fma(vec4f(a.y), b, acc[1]);
  acc[2] = fma(vec4f(a.z), b, acc[2]);
  acc[3] = fma(vec4f(a.w), b, acc[3]);
//#end
}

fn multiplySlice() {
//#if WIDE
  multiply(0u);
  multiply(1u);
  multiply(2u);
  multiply(3u);
  multiply(4u);
  multiply(5u);
  multiply(6u);
  multiply(7u);
  multiply(8u);
  multiply(9u);
  multiply(10u);
  multiply(11u);
  multiply(12u);
  multiply(13u);
  multiply(14u);
  multiply(15u);
//#else
  for (var k = 0u; k < 16u; k++) { multiply(k); }
//#end
}

// Which slice of which segment.
struct Slice {
  segment: u32,
  // its first k
  k: u32,
}

fn sliceAt(index: u32) -> Slice {
  let s0 = (u.depth0 + 15u) / 16u;
//#if SEGMENTS_2
  if (index < s0) { return Slice(0u, index * 16u); }
  let s1 = (u.depth1 + 15u) / 16u;
//#if SEGMENTS_3
  if (index >= s0 + s1) { return Slice(2u, (index - s0 - s1) * 16u); }
//#end
  return Slice(1u, (index - s0) * 16u);
//#else
  return Slice(0u, index * 16u);
//#end
}

fn countSlices() -> u32 {
  var count = (u.depth0 + 15u) / 16u;
//#if SEGMENTS_2
  count += (u.depth1 + 15u) / 16u;
//#end
//#if SEGMENTS_3
  count += (u.depth2 + 15u) / 16u;
//#end
  return count;
}

//#if A_KM
// A: numbers i … i + 3 of row k.
fn readA(slice: Slice, k: u32, i: u32, batch: u32) -> vec4f {
  if (k >= u.depth0) { return vec4f(0); }
  return load_a0(batch * u.batchA + k * u.strideA, i, u.m);
}
//#else
// A: numbers k … k + 3 of row i, which is the last one beyond it: what it gives is not stored.
fn readA(slice: Slice, k: u32, i: u32, batch: u32) -> vec4f {
  let row = min(i, u.m - 1u);
//#if SEGMENTS_2
  if (slice.segment == 1u) { return load_a1(row * u.depth1, k, u.depth1); }
//#end
//#if SEGMENTS_3
  if (slice.segment == 2u) { return load_a2(row * u.depth2, k, u.depth2); }
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
fn readB(slice: Slice, k: u32, j: u32, batch: u32) -> vec4f {
//#if SEGMENTS_2
  if (slice.segment == 1u) {
    if (k >= u.depth1) { return vec4f(0); }
    return load_b1(k * u.n, j, u.n);
  }
//#end
  if (k >= u.depth0) { return vec4f(0); }
  return load_b0(batch * u.batchB + k * u.n, j, u.n);
}
//#else
// B: numbers k … k + 3 of row j.
fn readB(slice: Slice, k: u32, j: u32, batch: u32) -> vec4f {
  let row = min(j, u.n - 1u);
//#if SEGMENTS_2
  if (slice.segment == 1u) { return load_b1(row * u.depth1, k, u.depth1); }
//#end
//#if SEGMENTS_3
  if (slice.segment == 2u) { return load_b2(row * u.depth2, k, u.depth2); }
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

// What one thread moves of a slice, in registers on its way from memory: a block of 4 × 4 numbers that is turned (rows along
// k), or one or two vec4s that are not (rows along m or n).
// A slice has 4 TILE4 of those blocks: the first threads have A's, the last ones B's.
const BLOCKS = 4u * TILE4;
var<private> stagedA: array<vec4f, 4>;
var<private> stagedB: array<vec4f, 4>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let lane = thread % 32u;
  let warp = thread / 32u;
  tx = (warp % 2u) * 8u + lane % 8u;
  ty = (warp / 2u) * 4u + lane / 8u;
  let row0 = group.y * TILE;
  let column0 = group.x * TILE;
  let slices = countSlices();
  load(0u, thread, row0, column0, group.z);
  for (var s = 0u; s < slices; s++) {
    put(thread);
    workgroupBarrier();
    // the next slice is under way while this one is multiplied
    if (s + 1u < slices) { load(s + 1u, thread, row0, column0, group.z); }
    multiplySlice();
    workgroupBarrier();
  }
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

fn load(index: u32, thread: u32, row0: u32, column0: u32, batch: u32) {
  let slice = sliceAt(index);
//#if A_KM
  stagedA[0] = readA(slice, slice.k + thread / TILE4, row0 + (thread % TILE4) * 4u, batch);
//#if WIDE
  stagedA[1] = readA(slice, slice.k + 8u + thread / TILE4, row0 + (thread % TILE4) * 4u, batch);
//#end
//#else
  if (thread < BLOCKS) {
    let k = slice.k + (thread % 4u) * 4u;
    let i = row0 + (thread / 4u) * 4u;
    stagedA[0] = readA(slice, k, i, batch);
    stagedA[1] = readA(slice, k, i + 1u, batch);
    stagedA[2] = readA(slice, k, i + 2u, batch);
    stagedA[3] = readA(slice, k, i + 3u, batch);
  }
//#end
//#if B_KN
  stagedB[0] = readB(slice, slice.k + thread / TILE4, column0 + (thread % TILE4) * 4u, batch);
//#if WIDE
  stagedB[1] = readB(slice, slice.k + 8u + thread / TILE4, column0 + (thread % TILE4) * 4u, batch);
//#end
//#else
  let block = 255u - thread;
  if (block < BLOCKS) {
    let k = slice.k + (block % 4u) * 4u;
    let j = column0 + (block / 4u) * 4u;
    stagedB[0] = readB(slice, k, j, batch);
    stagedB[1] = readB(slice, k, j + 1u, batch);
    stagedB[2] = readB(slice, k, j + 2u, batch);
    stagedB[3] = readB(slice, k, j + 3u, batch);
  }
//#end
}

fn put(thread: u32) {
//#if A_KM
  tileA[thread] = stagedA[0];
//#if WIDE
  tileA[thread + 256u] = stagedA[1];
//#end
//#else
  if (thread < BLOCKS) {
    let at = (thread % 4u) * 4u * TILE4 + thread / 4u;
    tileA[at] = vec4f(stagedA[0].x, stagedA[1].x, stagedA[2].x, stagedA[3].x);
    tileA[at + TILE4] = vec4f(stagedA[0].y, stagedA[1].y, stagedA[2].y, stagedA[3].y);
    tileA[at + 2u * TILE4] = vec4f(stagedA[0].z, stagedA[1].z, stagedA[2].z, stagedA[3].z);
    tileA[at + 3u * TILE4] = vec4f(stagedA[0].w, stagedA[1].w, stagedA[2].w, stagedA[3].w);
  }
//#end
//#if B_KN
  tileB[thread] = stagedB[0];
//#if WIDE
  tileB[thread + 256u] = stagedB[1];
//#end
//#else
  let block = 255u - thread;
  if (block < BLOCKS) {
    let at = (block % 4u) * 4u * TILE4 + block / 4u;
    tileB[at] = vec4f(stagedB[0].x, stagedB[1].x, stagedB[2].x, stagedB[3].x);
    tileB[at + TILE4] = vec4f(stagedB[0].y, stagedB[1].y, stagedB[2].y, stagedB[3].y);
    tileB[at + 2u * TILE4] = vec4f(stagedB[0].z, stagedB[1].z, stagedB[2].z, stagedB[3].z);
    tileB[at + 3u * TILE4] = vec4f(stagedB[0].w, stagedB[1].w, stagedB[2].w, stagedB[3].w);
  }
//#end
}
