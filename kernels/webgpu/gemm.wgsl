// C = activation(scale · Σ over segments s of A_s · B_s + bias), float32, of any size, batched over the workgroup's z.
//
// A_s is [m, depth_s], the rows of A_0 strideA numbers apart, or [depth, m] with A_KM; B_s is
// [n, depth_s], or [depth_s, n] with B_KN, the rows of B_0 strideB numbers apart. ROWS: row i of A_0 is row rows[i] of its buffer times weights[i], and row i of
// the product is added to row rows[i] of C. PARTS: the depth of A_0 is cut into parts, one for each z of the workgroups, so
// that many work on one tile; C is [parts, m, n], to be added up by sum_parts.
//
// A workgroup makes a tile of 64 × 64 numbers of C, RUN × RUN of them a thread, from slices of SLICE along the depth that it
// holds in workgroup memory: 64 threads and slices of 16 with WIDE, where RUN is 8. Measured on an H100 through Dawn, this form
// by itself, TFLOP/s at [2048, 4096] · [4096, 11008] / [2048, 11008] · [11008, 4096]ᵀ / [2048, 2048] · [2048, 5632]: 45.0 / 42.1 /
// 43.1; tiles of 128 × 128 with 256 threads 38.7 / 38.7 / 36.0, with 128 threads and 8 × 16 numbers each 42.9 / 42.9 / 43.3.

const GRID = 64u / RUN;
const THREADS = GRID * GRID;

alias Sums = array<vec4f, RUN * RUN / 4u>;

// Adds the outer product of one k of the slice.
fn multiply(acc: ptr<function, Sums>, k: u32, tx: u32, ty: u32) {
  let y = ty ^ spreadA(k);
  let x = tx ^ spreadB(k);
//#if WIDE
  let a0 = tileA[k][0][y];
  let a1 = tileA[k][1][y];
  let b0 = tileB[k][0][x];
  let b1 = tileB[k][1][x];
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
  let a = tileA[k][0][y];
  let b = tileB[k][0][x];
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

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  // a warp reads 4 × 8 of the grid, so that threads beside each other share a column and every other one a row
  let lane = thread % 32u;
  let warp = thread / 32u;
  let tx = (warp % (GRID / 8u)) * 8u + (lane / 2u) % 8u;
  let ty = (warp / (GRID / 8u)) * 4u + lane / 16u * 2u + lane % 2u;
  let row0 = group.y * 64u;
  let column0 = group.x * 64u;
  var acc: Sums;
  var movedA: Moved;
  var movedB: Moved;
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
  load(&movedA, &movedB, 0u, first, thread, row0, column0, batch);
  for (var k = first; k < end; k += SLICE) {
    put(&movedA, &movedB, 0u, thread);
    workgroupBarrier();
    // the next slice is under way while this one is multiplied
    if (k + SLICE < end) { load(&movedA, &movedB, 0u, k + SLICE, thread, row0, column0, batch); }
    multiplySlice(&acc, tx, ty);
    workgroupBarrier();
  }
  // The other segments are short. In one loop with the first, deciding which one is next cost it a sixth of its speed.
//#if SEGMENTS_2
  for (var k = 0u; k < depth1; k += SLICE) {
    load(&movedA, &movedB, 1u, k, thread, row0, column0, batch);
    put(&movedA, &movedB, 1u, thread);
    workgroupBarrier();
    for (var x = 0u; x < SLICE; x++) { multiply(&acc, x, tx, ty); }
    workgroupBarrier();
  }
//#end
//#if SEGMENTS_3
  for (var k = 0u; k < depth2; k += SLICE) {
    load(&movedA, &movedB, 2u, k, thread, row0, column0, batch);
    put(&movedA, &movedB, 2u, thread);
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
  let bias1 = load_bias(0u, j + 32u, u.n);
//#else
  let bias1 = vec4f(0);
//#end
  store(i, j, group.z, activate(u.scale * acc[0] + bias0));
  store(i, j + 32u, group.z, activate(u.scale * acc[1] + bias1));
  store(i + 1u, j, group.z, activate(u.scale * acc[2] + bias0));
  store(i + 1u, j + 32u, group.z, activate(u.scale * acc[3] + bias1));
  store(i + 2u, j, group.z, activate(u.scale * acc[4] + bias0));
  store(i + 2u, j + 32u, group.z, activate(u.scale * acc[5] + bias1));
  store(i + 3u, j, group.z, activate(u.scale * acc[6] + bias0));
  store(i + 3u, j + 32u, group.z, activate(u.scale * acc[7] + bias1));
  store(i + 32u, j, group.z, activate(u.scale * acc[8] + bias0));
  store(i + 32u, j + 32u, group.z, activate(u.scale * acc[9] + bias1));
  store(i + 33u, j, group.z, activate(u.scale * acc[10] + bias0));
  store(i + 33u, j + 32u, group.z, activate(u.scale * acc[11] + bias1));
  store(i + 34u, j, group.z, activate(u.scale * acc[12] + bias0));
  store(i + 34u, j + 32u, group.z, activate(u.scale * acc[13] + bias1));
  store(i + 35u, j, group.z, activate(u.scale * acc[14] + bias0));
  store(i + 35u, j + 32u, group.z, activate(u.scale * acc[15] + bias1));
//#else
  store(i, j, group.z, activate(u.scale * acc[0] + bias0));
  store(i + 1u, j, group.z, activate(u.scale * acc[1] + bias0));
  store(i + 2u, j, group.z, activate(u.scale * acc[2] + bias0));
  store(i + 3u, j, group.z, activate(u.scale * acc[3] + bias0));
//#end
}
