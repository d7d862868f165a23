// C = activation(scale · Σ over segments s of A_s · B_s + bias), float32, of any size, batched over the workgroup's z.
//
// A_s is [m, depth_s], the rows of A_0 strideA numbers apart, or [depth, m] with A_KM; B_s is
// [n, depth_s], or [depth_s, n] with B_KN, the rows of B_0 strideB numbers apart. ROWS: row i of A_0 is row rows[i] of its buffer times weights[i], and row i of
// the product is added to row rows[i] of C. PARTS: the depth of A_0 is cut into parts, one for each z of the workgroups, so
// that many work on one tile; C is [parts, m, n], to be added up by sum_parts.
//
// A workgroup of 256 threads makes a tile of 16 RUN × 16 RUN numbers of C, RUN × RUN of them a thread, from slices of SLICE
// along the depth that it holds in workgroup memory, 16 with WIDE. Measured on an H200 through Dawn, TFLOP/s at [2048, 11008] ·
// [11008, 4096]ᵀ with RUN = 8: 40.8; slices of 8 in two alternating buffers 34.8, slices of 32 35.2, the loop over a slice
// not unrolled 35.8, warps of 2 × 16 threads instead of 4 × 8 38.9.

const TILE = 16u * RUN;
const TILE4 = TILE / 4u;

alias Sums = array<vec4f, RUN * RUN / 4u>;
alias Moved = array<vec4f, 4>;

// [k][i / 4]: what a thread needs of one k lies side by side
var<workgroup> tileA: array<vec4f, SLICE * TILE4>;
var<workgroup> tileB: array<vec4f, SLICE * TILE4>;

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
  for (var k = 0u; k < SLICE; k++) { multiply(acc, k, tx, ty); }
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
  return load_b0(batch * u.batchB + k * u.strideB, j, u.n);
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
  return load_b0(batch * u.batchB + row * u.strideB, k, u.depth0);
}
//#end

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
const SLICE4 = SLICE / 4u;
const MOVERS = SLICE4 * TILE4;

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
//#if PARTS
  let batch = 0u;
  let first = group.z * u.part;
  let end = min(u.depth0, first + u.part);
  // the first part adds the other segments
  let depth1 = select(0u, u.depth1, group.z == 0u);
  let depth2 = select(0u, u.depth2, group.z == 0u);
//#else
  let batch = group.z;
  const first = 0u;
  let end = u.depth0;
  let depth1 = u.depth1;
  let depth2 = u.depth2;
//#end
  load(&moved, 0u, first, thread, row0, column0, batch);
  for (var k = first; k < end; k += SLICE) {
    put(&moved, thread);
    workgroupBarrier();
    // the next slice is under way while this one is multiplied
    if (k + SLICE < end) { load(&moved, 0u, k + SLICE, thread, row0, column0, batch); }
    multiplySlice(&acc, tx, ty);
    workgroupBarrier();
  }
  // The other segments are short. In one loop with the first, deciding which one is next cost it a sixth of its speed.
//#if SEGMENTS_2
  for (var k = 0u; k < depth1; k += SLICE) {
    load(&moved, 1u, k, thread, row0, column0, batch);
    put(&moved, thread);
    workgroupBarrier();
    for (var x = 0u; x < SLICE; x++) { multiply(&acc, x, tx, ty); }
    workgroupBarrier();
  }
//#end
//#if SEGMENTS_3
  for (var k = 0u; k < depth2; k += SLICE) {
    load(&moved, 2u, k, thread, row0, column0, batch);
    put(&moved, thread);
    workgroupBarrier();
    for (var x = 0u; x < SLICE; x++) { multiply(&acc, x, tx, ty); }
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
    (*moved)[1] = readA(segment, k + SLICE4, i, batch);
    (*moved)[2] = readA(segment, k + 2u * SLICE4, i, batch);
    (*moved)[3] = readA(segment, k + 3u * SLICE4, i, batch);
//#else
    let k = start + (thread % SLICE4) * 4u;
    let i = row0 + (thread / SLICE4) * 4u;
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
    (*moved)[1] = readB(segment, k + SLICE4, j, batch);
    (*moved)[2] = readB(segment, k + 2u * SLICE4, j, batch);
    (*moved)[3] = readB(segment, k + 3u * SLICE4, j, batch);
//#else
    let k = start + (item % SLICE4) * 4u;
    let j = column0 + (item / SLICE4) * 4u;
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
    let at = (thread % SLICE4) * 4u * TILE4 + thread / SLICE4;
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
    let at = (item % SLICE4) * 4u * TILE4 + item / SLICE4;
    tileB[at] = vec4f((*moved)[0].x, (*moved)[1].x, (*moved)[2].x, (*moved)[3].x);
    tileB[at + TILE4] = vec4f((*moved)[0].y, (*moved)[1].y, (*moved)[2].y, (*moved)[3].y);
    tileB[at + 2u * TILE4] = vec4f((*moved)[0].z, (*moved)[1].z, (*moved)[2].z, (*moved)[3].z);
    tileB[at + 3u * TILE4] = vec4f((*moved)[0].w, (*moved)[1].w, (*moved)[2].w, (*moved)[3].w);
//#end
  }
}
