// C = scale · A · B where B has at most 16 columns, in one pass over A [m, depth]: a workgroup of 256 threads takes 8 rows of
// it, whose depth the threads share; each has 8 × 16 sums, which they add up by halves at the end.
//
// B is [n, depth], or [depth, n] with B_KN. Rows are whole vec4s: depth4 and n4 are their numbers.

alias Row = array<vec4f, 4>;

var<private> r0: Row;
var<private> r1: Row;
var<private> r2: Row;
var<private> r3: Row;
var<private> r4: Row;
var<private> r5: Row;
var<private> r6: Row;
var<private> r7: Row;

var<workgroup> held: array<vec4f, 1024>;

fn readA(row: u32, k4: u32) -> vec4f { return a[min(row, u.m - 1u) * u.depth4 + k4]; }

//#if B_KN
// Numbers 4 j … 4 j + 3 of row k.
fn readB(k: u32, j: u32) -> vec4f {
  if (j >= u.n4) { return vec4f(0); }
  return b[k * u.n4 + j];
}

fn plus(row: Row, x: f32, b0: vec4f, b1: vec4f, b2: vec4f, b3: vec4f) -> Row {
  return Row(
    fma(vec4f(x), b0, row[0]), fma(vec4f(x), b1, row[1]), fma(vec4f(x), b2, row[2]), fma(vec4f(x), b3, row[3]),
  );
}

fn multiply(k: u32, x0: f32, x1: f32, x2: f32, x3: f32, x4: f32, x5: f32, x6: f32, x7: f32) {
  let b0 = readB(k, 0u);
  let b1 = readB(k, 1u);
  let b2 = readB(k, 2u);
  let b3 = readB(k, 3u);
  r0 = plus(r0, x0, b0, b1, b2, b3);
  r1 = plus(r1, x1, b0, b1, b2, b3);
  r2 = plus(r2, x2, b0, b1, b2, b3);
  r3 = plus(r3, x3, b0, b1, b2, b3);
  r4 = plus(r4, x4, b0, b1, b2, b3);
  r5 = plus(r5, x5, b0, b1, b2, b3);
  r6 = plus(r6, x6, b0, b1, b2, b3);
  r7 = plus(r7, x7, b0, b1, b2, b3);
}
//#else
// Numbers 4 k4 … 4 k4 + 3 of row j.
fn readB(j: u32, k4: u32) -> vec4f {
  if (j >= 4u * u.n4) { return vec4f(0); }
  return b[j * u.depth4 + k4];
}

fn dots(x: vec4f, b0: vec4f, b1: vec4f, b2: vec4f, b3: vec4f) -> vec4f {
  return vec4f(dot(x, b0), dot(x, b1), dot(x, b2), dot(x, b3));
}

// j is a constant where this is called.
fn multiply(j: u32, k4: u32, x0: vec4f, x1: vec4f, x2: vec4f, x3: vec4f, x4: vec4f, x5: vec4f, x6: vec4f, x7: vec4f) {
  let b0 = readB(4u * j, k4);
  let b1 = readB(4u * j + 1u, k4);
  let b2 = readB(4u * j + 2u, k4);
  let b3 = readB(4u * j + 3u, k4);
  r0[j] += dots(x0, b0, b1, b2, b3);
  r1[j] += dots(x1, b0, b1, b2, b3);
  r2[j] += dots(x2, b0, b1, b2, b3);
  r3[j] += dots(x3, b0, b1, b2, b3);
  r4[j] += dots(x4, b0, b1, b2, b3);
  r5[j] += dots(x5, b0, b1, b2, b3);
  r6[j] += dots(x6, b0, b1, b2, b3);
  r7[j] += dots(x7, b0, b1, b2, b3);
}
//#end

// Of two rows a thread goes on with one, to which it adds what the thread across has of it: the one with the bit of `mask`
// with the second.
fn halve(thread: u32, mask: u32, first: Row, second: Row) -> Row {
  let low = (thread & mask) == 0u;
  held[thread] = select(first[0], second[0], low);
  held[256u + thread] = select(first[1], second[1], low);
  held[512u + thread] = select(first[2], second[2], low);
  held[768u + thread] = select(first[3], second[3], low);
  workgroupBarrier();
  let across = thread ^ mask;
  let sum = Row(
    select(second[0], first[0], low) + held[across],
    select(second[1], first[1], low) + held[256u + across],
    select(second[2], first[2], low) + held[512u + across],
    select(second[3], first[3], low) + held[768u + across],
  );
  workgroupBarrier();
  return sum;
}

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row0 = (group.x + group.y * groups.x) * 8u;
  for (var k4 = thread; k4 < u.depth4; k4 += 256u) {
    let x0 = readA(row0, k4);
    let x1 = readA(row0 + 1u, k4);
    let x2 = readA(row0 + 2u, k4);
    let x3 = readA(row0 + 3u, k4);
    let x4 = readA(row0 + 4u, k4);
    let x5 = readA(row0 + 5u, k4);
    let x6 = readA(row0 + 6u, k4);
    let x7 = readA(row0 + 7u, k4);
//#if B_KN
    multiply(4u * k4, x0.x, x1.x, x2.x, x3.x, x4.x, x5.x, x6.x, x7.x);
    multiply(4u * k4 + 1u, x0.y, x1.y, x2.y, x3.y, x4.y, x5.y, x6.y, x7.y);
    multiply(4u * k4 + 2u, x0.z, x1.z, x2.z, x3.z, x4.z, x5.z, x6.z, x7.z);
    multiply(4u * k4 + 3u, x0.w, x1.w, x2.w, x3.w, x4.w, x5.w, x6.w, x7.w);
//#else
    multiply(0u, k4, x0, x1, x2, x3, x4, x5, x6, x7);
    multiply(1u, k4, x0, x1, x2, x3, x4, x5, x6, x7);
    multiply(2u, k4, x0, x1, x2, x3, x4, x5, x6, x7);
    multiply(3u, k4, x0, x1, x2, x3, x4, x5, x6, x7);
//#end
  }
  r0 = halve(thread, 128u, r0, r4);
  r1 = halve(thread, 128u, r1, r5);
  r2 = halve(thread, 128u, r2, r6);
  r3 = halve(thread, 128u, r3, r7);
  r0 = halve(thread, 64u, r0, r2);
  r1 = halve(thread, 64u, r1, r3);
  r0 = halve(thread, 32u, r0, r1);
  // thread / 32 is the row that a thread has now, of which 32 threads have a part
  held[thread] = r0[0];
  held[256u + thread] = r0[1];
  held[512u + thread] = r0[2];
  held[768u + thread] = r0[3];
  workgroupBarrier();
  let start = ((thread / 8u) % 4u) * 256u + (thread / 32u) * 32u + thread % 8u;
  let eighth = held[start] + held[start + 8u] + held[start + 16u] + held[start + 24u];
  workgroupBarrier();
  held[thread] = eighth;
  workgroupBarrier();
  let row = row0 + thread / 4u;
  if (thread >= 32u || row >= u.m || thread % 4u >= u.n4) { return; }
  let first = thread * 8u;
  let half = held[first] + held[first + 1u] + held[first + 2u] + held[first + 3u];
  c[row * u.n4 + thread % 4u] =
    u.scale * (half + held[first + 4u] + held[first + 5u] + held[first + 6u] + held[first + 7u]);
}
