// The slices of gemm.wgsl's factors, from memory through registers into workgroup memory.

alias Moved = array<vec4f, 4>;
// [k][i / 4], the latter in two: which of a thread's vec4s, and where in the grid. Then no index of a read can be too large but
// the last, which is the same for many k.
alias Tile = array<array<array<vec4f, GRID>, RUN / 4u>, SLICE>;

var<workgroup> tileA: Tile;
var<workgroup> tileB: Tile;

// What a thread moves of a slice, in registers on its way from memory, of A, of B or of both: a block of 4 × 4 numbers that is
// turned (rows along k), or four vec4s that are not (rows along m or n). The first MOVERS threads move A, the last ones B.
const SLICE4 = SLICE / 4u;
const MOVERS = SLICE4 * 16u;
const FIRST_B = THREADS - MOVERS;

// Where a row of a tile is turned to, so that threads beside each other, which put different rows, do so into different banks.
const SPREAD = 8u / SLICE4;
fn spreadA(k: u32) -> u32 {
//#if A_KM
  return 0u;
//#else
//#if GATHERED
  return k % SLICE4 * SPREAD;
//#else
  return k / 4u * SPREAD;
//#end
//#end
}
fn spreadB(k: u32) -> u32 {
//#if B_KN
  return 0u;
//#else
  return k / 4u * SPREAD;
//#end
}

fn putA(k: u32, i: u32, value: vec4f) {
  let at = i ^ spreadA(k);
  tileA[k][at / GRID][at % GRID] = value;
}
fn putB(k: u32, j: u32, value: vec4f) {
  let at = j ^ spreadB(k);
  tileB[k][at / GRID][at % GRID] = value;
}

//#if A_KM
// A: numbers i … i + 3 of row k.
fn readA(segment: u32, k: u32, i: u32, batch: u32) -> vec4f {
  if (k >= u.depth0) { return vec4f(0); }
  return load_a0(batch * u.batchA + k * u.strideA, i, u.m);
}
//#else
// A: numbers k … k + 3 (of a gathered one k, k + SLICE4, …) of row i, which is the last one beyond it: what it gives is not stored.
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
//#if GATHERED
    let k = start + (thread % SLICE4) * select(4u, 1u, segment == 0u);
//#else
    let k = start + (thread % SLICE4) * 4u;
//#end
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

fn put(a: ptr<function, Moved>, b: ptr<function, Moved>, segment: u32, thread: u32) {
  if (MOVERS == THREADS || thread < MOVERS) {
//#if A_KM
    let k = thread / 16u;
    let i = thread % 16u;
    putA(k, i, (*a)[0]);
    putA(k + SLICE4, i, (*a)[1]);
    putA(k + 2u * SLICE4, i, (*a)[2]);
    putA(k + 3u * SLICE4, i, (*a)[3]);
//#else
//#if GATHERED
    // what gathered_matrix reads is SLICE4 apart
    let step = select(1u, SLICE4, segment == 0u);
    let k = (thread % SLICE4) * select(4u, 1u, segment == 0u);
//#else
    const step = 1u;
    let k = (thread % SLICE4) * 4u;
//#end
    let i = thread / SLICE4;
    putA(k, i, vec4f((*a)[0].x, (*a)[1].x, (*a)[2].x, (*a)[3].x));
    putA(k + step, i, vec4f((*a)[0].y, (*a)[1].y, (*a)[2].y, (*a)[3].y));
    putA(k + 2u * step, i, vec4f((*a)[0].z, (*a)[1].z, (*a)[2].z, (*a)[3].z));
    putA(k + 3u * step, i, vec4f((*a)[0].w, (*a)[1].w, (*a)[2].w, (*a)[3].w));
//#end
  }
  if (MOVERS == THREADS || thread >= FIRST_B) {
    let item = thread - FIRST_B;
//#if B_KN
    let k = item / 16u;
    let j = item % 16u;
    putB(k, j, (*b)[0]);
    putB(k + SLICE4, j, (*b)[1]);
    putB(k + 2u * SLICE4, j, (*b)[2]);
    putB(k + 3u * SLICE4, j, (*b)[3]);
//#else
    let k = (item % SLICE4) * 4u;
    let j = item / SLICE4;
    putB(k, j, vec4f((*b)[0].x, (*b)[1].x, (*b)[2].x, (*b)[3].x));
    putB(k + 1u, j, vec4f((*b)[0].y, (*b)[1].y, (*b)[2].y, (*b)[3].y));
    putB(k + 2u, j, vec4f((*b)[0].z, (*b)[1].z, (*b)[2].z, (*b)[3].z));
    putB(k + 3u, j, vec4f((*b)[0].w, (*b)[1].w, (*b)[2].w, (*b)[3].w));
//#end
  }
}
