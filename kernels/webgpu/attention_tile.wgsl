// What the kernels of attention have in common: products of tiles by a workgroup of 8 × ACROSS threads.
//
// A tile has 64 rows and 4 ACROSS columns, or 8 ACROSS if it is wide. Thread (tx, ty) has its rows 4 ty … 4 ty + 3 and
// 32 + 4 ty …, and its columns 4 tx … 4 tx + 3 and, of a wide one, 4 ACROSS + 4 tx …: of every 4 × 4 numbers a matrix, whose
// columns (of WGSL) are the rows (of the tile). That is 8 × 4 or 8 × 8 numbers a thread, since 4 × 4 would leave the
// arithmetic waiting for workgroup memory.
//
// A product's depth goes through workgroup memory in slices of 16, [depth][row / 4] to the left and [depth][column / 4] to
// the right. Within a row of vec4s their places are turned by depth / 4, so that threads that write one column meet no bank
// twice.
const THREADS = 8u * ACROSS;
const RIGHT = 256u;

alias Narrow = array<mat4x4f, 2>;
alias Wide = array<mat4x4f, 4>;

var<workgroup> slices: array<vec4f, RIGHT + 32u * ACROSS>;

fn outer(sum: mat4x4f, a: vec4f, b: vec4f) -> mat4x4f {
  return mat4x4f(
    fma(vec4f(a.x), b, sum[0]),
    fma(vec4f(a.y), b, sum[1]),
    fma(vec4f(a.z), b, sum[2]),
    fma(vec4f(a.w), b, sum[3]),
  );
}

// Adds the products of the slices.
fn multiplyNarrow(sums: ptr<function, Narrow>, tx: u32, ty: u32) {
  for (var k = 0u; k < 16u; k += 4u) {
    let left = k * 16u + (ty ^ (k / 2u));
    let right = RIGHT + k * ACROSS + (tx ^ (k / 2u));
    narrowStep(sums, left, right);
    narrowStep(sums, left + 16u, right + ACROSS);
    narrowStep(sums, left + 32u, right + 2u * ACROSS);
    narrowStep(sums, left + 48u, right + 3u * ACROSS);
  }
}

fn narrowStep(sums: ptr<function, Narrow>, left: u32, right: u32) {
  let b = slices[right];
  (*sums)[0] = outer((*sums)[0], slices[left], b);
  (*sums)[1] = outer((*sums)[1], slices[left + 8u], b);
}

fn multiplyWide(sums: ptr<function, Wide>, tx: u32, ty: u32) {
  for (var k = 0u; k < 16u; k += 4u) {
    let left = k * 16u + (ty ^ (k / 2u));
    let right = RIGHT + k * 2u * ACROSS + (tx ^ (k / 2u));
    wideStep(sums, left, right);
    wideStep(sums, left + 16u, right + 2u * ACROSS);
    wideStep(sums, left + 32u, right + 4u * ACROSS);
    wideStep(sums, left + 48u, right + 6u * ACROSS);
  }
}

fn wideStep(sums: ptr<function, Wide>, left: u32, right: u32) {
  let a0 = slices[left];
  let a1 = slices[left + 8u];
  let b0 = slices[right];
  let b1 = slices[right + ACROSS];
  (*sums)[0] = outer((*sums)[0], a0, b0);
  (*sums)[1] = outer((*sums)[1], a0, b1);
  (*sums)[2] = outer((*sums)[2], a1, b0);
  (*sums)[3] = outer((*sums)[3], a1, b1);
}

// Writes one thread's block of a slice of 4 · width rows or columns: 4 of these by 4 along the depth, from read_NAME.
fn putBlock(to: u32, width: u32, thread: u32, block: mat4x4f) {
  if (thread >= 4u * width) { return; }
  let turned = transpose(block);
  let k = thread % 4u;
  let at = to + 4u * k * width + ((thread / 4u) ^ (2u * k));
  slices[at] = turned[0];
  slices[at + width] = turned[1];
  slices[at + 2u * width] = turned[2];
  slices[at + 3u * width] = turned[3];
}

// Writes to the left the slice whose depth is columns 16 `slice` … of a tile, these 4 columns being one thread's.
fn putColumns(slice: u32, tx: u32, ty: u32, upper: mat4x4f, lower: mat4x4f) {
  if (tx / 4u != slice) { return; }
  let k = tx % 4u;
  let at = 64u * k + (ty ^ (2u * k));
  let above = transpose(upper);
  let below = transpose(lower);
  slices[at] = above[0];
  slices[at + 16u] = above[1];
  slices[at + 32u] = above[2];
  slices[at + 48u] = above[3];
  slices[at + 8u] = below[0];
  slices[at + 24u] = below[1];
  slices[at + 40u] = below[2];
  slices[at + 56u] = below[3];
}

// The ids of the segments of four tokens.
fn segmentsOf(batch: u32, token: u32) -> vec4i {
//#if SEGMENTS
  let start = batch * u.t;
  let last = u.t - 1u;
  return vec4i(
    segments[start + min(token, last)],
    segments[start + min(token + 1u, last)],
    segments[start + min(token + 2u, last)],
    segments[start + min(token + 3u, last)],
  );
//#else
  return vec4i(0);
//#end
}

// Numbers `column` … `column` + 3 of a row of the output, that of token `row` and beginning at number `start`.
fn store(start: u32, row: u32, column: u32, value: vec4f) {
  if (row >= u.t || column >= u.c) { return; }
//#if VEC4
  output[(start + column) / 4u] = value;
//#else
  for (var i = 0u; i < min(4u, u.c - column); i++) { output[start + column + i] = value[i]; }
//#end
}

// A tile of the output from number `start` on, its tokens `stride` numbers apart.
fn storeTile(start: u32, stride: u32, row0: u32, tx: u32, ty: u32, tile: Wide) {
  storeBlock(start, stride, row0 + 4u * ty, 4u * tx, tile[0]);
  storeBlock(start, stride, row0 + 4u * ty, 4u * (ACROSS + tx), tile[1]);
  storeBlock(start, stride, row0 + 32u + 4u * ty, 4u * tx, tile[2]);
  storeBlock(start, stride, row0 + 32u + 4u * ty, 4u * (ACROSS + tx), tile[3]);
}

fn storeBlock(start: u32, stride: u32, row: u32, column: u32, block: mat4x4f) {
  store(start + row * stride, row, column, block[0]);
  store(start + (row + 1u) * stride, row + 1u, column, block[1]);
  store(start + (row + 2u) * stride, row + 2u, column, block[2]);
  store(start + (row + 3u) * stride, row + 3u, column, block[3]);
}
