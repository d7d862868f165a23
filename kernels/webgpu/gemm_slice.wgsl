// The slices of gemm.wgsl's factors, from memory through registers into workgroup memory.

const TILE = 16u * RUN;
const TILE4 = TILE / 4u;

alias Moved = array<vec4f, 4>;
// [k][i / 4], the latter in two: which of a thread's vec4s, and whose. So every index of a read but the last is known to the
// compiler, and Dawn, which keeps the others within bounds, does so once for all k: 39 → 44 TFLOP/s, as in gemm.wgsl.
alias Tile = array<array<array<vec4f, 16>, RUN / 4u>, SLICE>;

var<workgroup> tileA: Tile;
var<workgroup> tileB: Tile;

//#if A_KM
// A: numbers i … i + 3 of row k.
fn readA(segment: u32, k: u32, i: u32, batch: u32) -> vec4f {
//#if PARTIAL
  if (k >= u.depth0) { return vec4f(0); }
//#end
  return load_a0(batch * u.batchA + k * u.strideA, i, u.m);
}
//#else
//#if GATHERED
// A: numbers k of rows i … i + 3. Threads beside each other read kept columns beside each other, which share what the cache
// fetches: 34.5 → 37.6 TFLOP/s at keep .25, as in gemm.wgsl, against a 4 × 4 block of four columns a thread.
fn gather(k: u32, i: u32) -> vec4f {
//#if PARTIAL
  if (k >= u.depth0) { return vec4f(0); }
//#end
  let column = indices[k];
  return vec4f(
    a0[min(i, u.m - 1u) * u.strideA + column],
    a0[min(i + 1u, u.m - 1u) * u.strideA + column],
    a0[min(i + 2u, u.m - 1u) * u.strideA + column],
    a0[min(i + 3u, u.m - 1u) * u.strideA + column],
  );
}
//#end

// A: numbers k … k + 3 of row i, which is the last one beyond it: what it gives is not stored.
fn readA(segment: u32, k: u32, i: u32, batch: u32) -> vec4f {
  let row = min(i, u.m - 1u);
//#if SEGMENTS_2
  if (segment == 1u) { return load_a1(row * u.depth1, k, u.depth1); }
//#end
//#if SEGMENTS_3
  if (segment == 2u) { return load_a2(row * u.depth2, k, u.depth2); }
//#end
//#if GATHERED
  return vec4f(0); // see gather
//#else
//#if ROWS
  return weights[row] * load_a0(rows[row] * u.strideA, k, u.depth0);
//#else
  return load_a0(batch * u.batchA + row * u.strideA, k, u.depth0);
//#end
//#end
}
//#end

//#if B_KN
// B: numbers j … j + 3 of row k.
fn readB(segment: u32, k: u32, j: u32, batch: u32) -> vec4f {
//#if SEGMENTS_2
  if (segment == 1u) {
//#if PARTIAL
    if (k >= u.depth1) { return vec4f(0); }
//#end
    return load_b1(k * u.n, j, u.n);
  }
//#end
//#if PARTIAL
  if (k >= u.depth0) { return vec4f(0); }
//#end
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

// What a thread moves of a slice, in registers on its way from memory: a block of 4 × 4 numbers that is turned (rows along
// k), four vec4s that are not (rows along m or n), or 16 numbers of a gathered column. 128 threads move A, the others B.
const SLICE4 = SLICE / 4u;

fn loadA(moved: ptr<function, Moved>, segment: u32, start: u32, thread: u32, row0: u32, batch: u32) {
//#if A_KM
  let k = start + thread / TILE4;
  let i = row0 + (thread % TILE4) * 4u;
  (*moved)[0] = readA(segment, k, i, batch);
  (*moved)[1] = readA(segment, k + SLICE4, i, batch);
  (*moved)[2] = readA(segment, k + 2u * SLICE4, i, batch);
  (*moved)[3] = readA(segment, k + 3u * SLICE4, i, batch);
//#else
//#if GATHERED
  if (segment == 0u) {
    let k = start + thread % SLICE;
    let i = row0 + (thread / SLICE) * 16u;
    (*moved)[0] = gather(k, i);
    (*moved)[1] = gather(k, i + 4u);
    (*moved)[2] = gather(k, i + 8u);
    (*moved)[3] = gather(k, i + 12u);
    return;
  }
//#end
  let k = start + (thread % SLICE4) * 4u;
  let i = row0 + (thread / SLICE4) * 4u;
  (*moved)[0] = readA(segment, k, i, batch);
  (*moved)[1] = readA(segment, k, i + 1u, batch);
  (*moved)[2] = readA(segment, k, i + 2u, batch);
  (*moved)[3] = readA(segment, k, i + 3u, batch);
//#end
}

fn loadB(moved: ptr<function, Moved>, segment: u32, start: u32, thread: u32, column0: u32, batch: u32) {
//#if B_KN
  let k = start + thread / TILE4;
  let j = column0 + (thread % TILE4) * 4u;
  (*moved)[0] = readB(segment, k, j, batch);
  (*moved)[1] = readB(segment, k + SLICE4, j, batch);
  (*moved)[2] = readB(segment, k + 2u * SLICE4, j, batch);
  (*moved)[3] = readB(segment, k + 3u * SLICE4, j, batch);
//#else
  let k = start + (thread % SLICE4) * 4u;
  let j = column0 + (thread / SLICE4) * 4u;
  (*moved)[0] = readB(segment, k, j, batch);
  (*moved)[1] = readB(segment, k, j + 1u, batch);
  (*moved)[2] = readB(segment, k, j + 2u, batch);
  (*moved)[3] = readB(segment, k, j + 3u, batch);
//#end
}

fn setA(k: u32, i: u32, value: vec4f) { tileA[k][i / 16u][i % 16u] = value; }
fn setB(k: u32, j: u32, value: vec4f) { tileB[k][j / 16u][j % 16u] = value; }

fn putA(moved: ptr<function, Moved>, segment: u32, thread: u32) {
//#if A_KM
  let k = thread / TILE4;
  let i = thread % TILE4;
  setA(k, i, (*moved)[0]);
  setA(k + SLICE4, i, (*moved)[1]);
  setA(k + 2u * SLICE4, i, (*moved)[2]);
  setA(k + 3u * SLICE4, i, (*moved)[3]);
//#else
//#if GATHERED
  if (segment == 0u) {
    let k = thread % SLICE;
    let i = (thread / SLICE) * 4u;
    setA(k, i, (*moved)[0]);
    setA(k, i + 1u, (*moved)[1]);
    setA(k, i + 2u, (*moved)[2]);
    setA(k, i + 3u, (*moved)[3]);
    return;
  }
//#end
  let k = (thread % SLICE4) * 4u;
  let i = thread / SLICE4;
  setA(k, i, vec4f((*moved)[0].x, (*moved)[1].x, (*moved)[2].x, (*moved)[3].x));
  setA(k + 1u, i, vec4f((*moved)[0].y, (*moved)[1].y, (*moved)[2].y, (*moved)[3].y));
  setA(k + 2u, i, vec4f((*moved)[0].z, (*moved)[1].z, (*moved)[2].z, (*moved)[3].z));
  setA(k + 3u, i, vec4f((*moved)[0].w, (*moved)[1].w, (*moved)[2].w, (*moved)[3].w));
//#end
}

fn putB(moved: ptr<function, Moved>, thread: u32) {
//#if B_KN
  let k = thread / TILE4;
  let j = thread % TILE4;
  setB(k, j, (*moved)[0]);
  setB(k + SLICE4, j, (*moved)[1]);
  setB(k + 2u * SLICE4, j, (*moved)[2]);
  setB(k + 3u * SLICE4, j, (*moved)[3]);
//#else
  let k = (thread % SLICE4) * 4u;
  let j = thread / SLICE4;
  setB(k, j, vec4f((*moved)[0].x, (*moved)[1].x, (*moved)[2].x, (*moved)[3].x));
  setB(k + 1u, j, vec4f((*moved)[0].y, (*moved)[1].y, (*moved)[2].y, (*moved)[3].y));
  setB(k + 2u, j, vec4f((*moved)[0].z, (*moved)[1].z, (*moved)[2].z, (*moved)[3].z));
  setB(k + 3u, j, vec4f((*moved)[0].w, (*moved)[1].w, (*moved)[2].w, (*moved)[3].w));
//#end
}
