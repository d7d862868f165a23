// C = A · B where B has few columns (n ≤ 4 COLUMNS ≤ 32): A decides the time, and is read once. The depth is cut into parts,
// one for each z of the workgroups, so that many work on one row of tiles; C is [parts, m, n] ([parts, n, m] with
// C_TURNED), to be added up by sum_parts.
//
// A is [m, depth], or [depth, m] with A_KM; B is [n, depth], or [depth, n] with B_KN.
//
// A workgroup of 256 threads makes 64 rows of C. A thread has 4 rows and 4 columns; 16 / COLUMNS threads share these, each
// with its own k of a slice of 32, and add up at the end.

const SLICE = 32u;
const SHARE = 16u / COLUMNS;

var<workgroup> tileA: array<vec4f, SLICE * 16u>;
var<workgroup> tileB: array<vec4f, SLICE * COLUMNS>;
var<workgroup> sums: array<vec4f, 256>;

fn putA(at: u32, k: u32, row0: u32) {
//#if A_KM
  // two vec4s a thread: rows of 64 along m
  for (var x = at; x < SLICE * 16u; x += 256u) {
    let row = k + x / 16u;
    tileA[x] = vec4f(0);
    if (row < u.depth) { tileA[x] = load_a(row * u.m, row0 + (x % 16u) * 4u, u.m); }
  }
//#else
  if (at < 128u) {
    // a block of 4 × 4, turned
    let column = k + (at % 8u) * 4u;
    let row = row0 + (at / 8u) * 4u;
    let last = u.m - 1u;
    let r0 = load_a(min(row, last) * u.depth, column, u.depth);
    let r1 = load_a(min(row + 1u, last) * u.depth, column, u.depth);
    let r2 = load_a(min(row + 2u, last) * u.depth, column, u.depth);
    let r3 = load_a(min(row + 3u, last) * u.depth, column, u.depth);
    let to = (at % 8u) * 64u + at / 8u;
    tileA[to] = vec4f(r0.x, r1.x, r2.x, r3.x);
    tileA[to + 16u] = vec4f(r0.y, r1.y, r2.y, r3.y);
    tileA[to + 32u] = vec4f(r0.z, r1.z, r2.z, r3.z);
    tileA[to + 48u] = vec4f(r0.w, r1.w, r2.w, r3.w);
  }
//#end
}

fn putB(at: u32, k: u32) {
//#if B_KN
  for (var x = at; x < SLICE * COLUMNS; x += 256u) {
    let row = k + x / COLUMNS;
    tileB[x] = vec4f(0);
    if (row < u.depth) { tileB[x] = load_b(row * u.n, (x % COLUMNS) * 4u, u.n); }
  }
//#else
  if (at < 8u * COLUMNS) {
    let column = k + (at % 8u) * 4u;
    let row = (at / 8u) * 4u;
    let last = u.n - 1u;
    let r0 = load_b(min(row, last) * u.depth, column, u.depth);
    let r1 = load_b(min(row + 1u, last) * u.depth, column, u.depth);
    let r2 = load_b(min(row + 2u, last) * u.depth, column, u.depth);
    let r3 = load_b(min(row + 3u, last) * u.depth, column, u.depth);
    let to = (at % 8u) * 4u * COLUMNS + at / 8u;
    tileB[to] = vec4f(r0.x, r1.x, r2.x, r3.x);
    tileB[to + COLUMNS] = vec4f(r0.y, r1.y, r2.y, r3.y);
    tileB[to + 2u * COLUMNS] = vec4f(r0.z, r1.z, r2.z, r3.z);
    tileB[to + 3u * COLUMNS] = vec4f(r0.w, r1.w, r2.w, r3.w);
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
  for (var k = first; k < end; k += SLICE) {
    putA(thread, k, row0);
    putB(255u - thread, k);
    workgroupBarrier();
    for (var x = own; x < SLICE; x += SHARE) {
      let a = tileA[x * 16u + block];
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
