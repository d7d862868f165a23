// C = scale · A · B where B has few columns (n ≤ 4 COLUMNS ≤ 32): A decides the time, and is read once. The depth is cut into parts,
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
  c[(part * u.n + j) * u.m + i] = u.scale * value;
//#else
  c[(part * u.m + i) * u.n + j] = u.scale * value;
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
