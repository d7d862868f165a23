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
alias Moved = array<vec4f, 4>;
// [k][i / 4], the latter as what each of a thread's RUN / 4 vec4s is the how manieth of: only one index is not known beforehand
alias Tile = array<array<array<vec4f, GRID>, RUN / 4u>, SLICE>;

var<workgroup> tileA: Tile;
var<workgroup> tileB: Tile;

// A block of 4 × 4 numbers that is turned on its way lies elsewhere for each k / 4, else the writers would meet in one bank.
const SPREAD = 32u / SLICE;
//#if A_KM
const SPREAD_A = 0u;
//#else
const SPREAD_A = SPREAD;
//#end
//#if B_KN
const SPREAD_B = 0u;
//#else
const SPREAD_B = SPREAD;
//#end

// Adds the outer product of one k of the slice.
fn multiply(acc: ptr<function, Sums>, k: u32, tx: u32, ty: u32) {
  let y = ty ^ (k / 4u * SPREAD_A);
  let x = tx ^ (k / 4u * SPREAD_B);
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
    put(&movedA, &movedB, thread);
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
    put(&movedA, &movedB, thread);
    workgroupBarrier();
    for (var x = 0u; x < SLICE; x++) { multiply(&acc, x, tx, ty); }
    workgroupBarrier();
  }
//#end
//#if SEGMENTS_3
  for (var k = 0u; k < depth2; k += SLICE) {
    load(&movedA, &movedB, 2u, k, thread, row0, column0, batch);
    put(&movedA, &movedB, thread);
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

// What a thread moves of a slice, in registers on its way from memory, of A, of B or of both: a block of 4 × 4 numbers that is
// turned (rows along k), or four vec4s that are not (rows along m or n). The first MOVERS threads move A, the last ones B.
const SLICE4 = SLICE / 4u;
const MOVERS = SLICE4 * 16u;
const FIRST_B = THREADS - MOVERS;

fn load(a: ptr<function, Moved>, b: ptr<function, Moved>, segment: u32, start: u32, thread: u32, row0: u32, column0: u32, batch: u32) {
  if (MOVERS == THREADS || thread < MOVERS) {
//#if A_KM
    let k = start + thread / 16u;
    let i = row0 + (thread % 16u) * 4u;
    (*a)[0] = readA(segment, k, i, batch);
    (*a)[1] = readA(segment, k + SLICE4, i, batch);
    (*a)[2] = readA(segment, k + 2u * SLICE4, i, batch);
    (*a)[3] = readA(segment, k + 3u * SLICE4, i, batch);
//#else
    let k = start + (thread % SLICE4) * 4u;
    let i = row0 + (thread / SLICE4) * 4u;
    (*a)[0] = readA(segment, k, i, batch);
    (*a)[1] = readA(segment, k, i + 1u, batch);
    (*a)[2] = readA(segment, k, i + 2u, batch);
    (*a)[3] = readA(segment, k, i + 3u, batch);
//#end
  }
  if (MOVERS == THREADS || thread >= FIRST_B) {
    let item = thread - FIRST_B;
//#if B_KN
    let k = start + item / 16u;
    let j = column0 + (item % 16u) * 4u;
    (*b)[0] = readB(segment, k, j, batch);
    (*b)[1] = readB(segment, k + SLICE4, j, batch);
    (*b)[2] = readB(segment, k + 2u * SLICE4, j, batch);
    (*b)[3] = readB(segment, k + 3u * SLICE4, j, batch);
//#else
    let k = start + (item % SLICE4) * 4u;
    let j = column0 + (item / SLICE4) * 4u;
    (*b)[0] = readB(segment, k, j, batch);
    (*b)[1] = readB(segment, k, j + 1u, batch);
    (*b)[2] = readB(segment, k, j + 2u, batch);
    (*b)[3] = readB(segment, k, j + 3u, batch);
//#end
  }
}

fn put(a: ptr<function, Moved>, b: ptr<function, Moved>, thread: u32) {
  if (MOVERS == THREADS || thread < MOVERS) {
//#if A_KM
    let k = thread / 16u;
    let i = thread % 16u;
    tileA[k][i / GRID][i % GRID] = (*a)[0];
    tileA[k + SLICE4][i / GRID][i % GRID] = (*a)[1];
    tileA[k + 2u * SLICE4][i / GRID][i % GRID] = (*a)[2];
    tileA[k + 3u * SLICE4][i / GRID][i % GRID] = (*a)[3];
//#else
    let k4 = thread % SLICE4;
    let i = (thread / SLICE4) ^ (k4 * SPREAD);
    tileA[4u * k4][i / GRID][i % GRID] = vec4f((*a)[0].x, (*a)[1].x, (*a)[2].x, (*a)[3].x);
    tileA[4u * k4 + 1u][i / GRID][i % GRID] = vec4f((*a)[0].y, (*a)[1].y, (*a)[2].y, (*a)[3].y);
    tileA[4u * k4 + 2u][i / GRID][i % GRID] = vec4f((*a)[0].z, (*a)[1].z, (*a)[2].z, (*a)[3].z);
    tileA[4u * k4 + 3u][i / GRID][i % GRID] = vec4f((*a)[0].w, (*a)[1].w, (*a)[2].w, (*a)[3].w);
//#end
  }
  if (MOVERS == THREADS || thread >= FIRST_B) {
    let item = thread - FIRST_B;
//#if B_KN
    let k = item / 16u;
    let j = item % 16u;
    tileB[k][j / GRID][j % GRID] = (*b)[0];
    tileB[k + SLICE4][j / GRID][j % GRID] = (*b)[1];
    tileB[k + 2u * SLICE4][j / GRID][j % GRID] = (*b)[2];
    tileB[k + 3u * SLICE4][j / GRID][j % GRID] = (*b)[3];
//#else
    let k4 = item % SLICE4;
    let j = (item / SLICE4) ^ (k4 * SPREAD);
    tileB[4u * k4][j / GRID][j % GRID] = vec4f((*b)[0].x, (*b)[1].x, (*b)[2].x, (*b)[3].x);
    tileB[4u * k4 + 1u][j / GRID][j % GRID] = vec4f((*b)[0].y, (*b)[1].y, (*b)[2].y, (*b)[3].y);
    tileB[4u * k4 + 2u][j / GRID][j % GRID] = vec4f((*b)[0].z, (*b)[1].z, (*b)[2].z, (*b)[3].z);
    tileB[4u * k4 + 3u][j / GRID][j % GRID] = vec4f((*b)[0].w, (*b)[1].w, (*b)[2].w, (*b)[3].w);
//#end
  }
}
