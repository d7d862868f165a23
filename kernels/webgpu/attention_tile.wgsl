// What the kernels of attention have in common: products of tiles by a workgroup of 8 × ACROSS threads.
//
// A tile has 64 rows and 4 ACROSS columns, or 8 ACROSS if it is wide. Thread (tx, ty) has its rows 4 ty … 4 ty + 3 and
// 32 + 4 ty …, and its columns 4 tx … 4 tx + 3 and, of a wide one, 4 ACROSS + 4 tx …: of every 4 × 4 numbers a matrix, whose
// columns (of WGSL) are the rows (of the tile). That is 8 × 4 or 8 × 8 numbers a thread, since 4 × 4 would leave the
// arithmetic waiting for workgroup memory.
//
// A product's depth goes through workgroup memory in slices of 16, k = 4 quarter + i: [quarter][i][half][place], where half and
// place are which of a thread's vec4s, and whose. A narrow tile has one half to the right. So every index of a read but the
// last is known to the compiler, and Dawn, which keeps the others within bounds, does so once for a quarter. The places are
// turned by the quarter, so that threads that write one column meet no bank twice. Measured on an H100 by its clock, forward and
// gradient, milliseconds: 4 × 512 tokens, 32 heads of 64, 4 of k and v 0.176 and 0.823, with one flat array 0.202 and 0.915; 8 ×
// 1024 tokens, 32 heads of 128 2.43 and 10.86, flat 2.73 and 12.6; threads row by row 2.92 and 11.2.
const THREADS = 8u * ACROSS;

alias Narrow = array<mat4x4f, 2>;
alias Wide = array<mat4x4f, 4>;

var<workgroup> leftSlice: array<array<array<array<vec4f, 8>, 2>, 4>, 4>;
var<workgroup> rightSlice: array<array<array<array<vec4f, ACROSS>, 2>, 4>, 4>;

// Where a thread is: (tx, ty). A warp is 4 × 8 threads, in an order in which neighbours read few different vec4s.
fn positionOf(thread: u32) -> vec2u {
  let lane = thread % 32u;
  let warp = thread / 32u;
  let tx = warp % (ACROSS / 8u) * 8u + lane / 2u % 8u;
  let ty = warp / (ACROSS / 8u) * 4u + lane / 16u * 2u + lane % 2u;
  return vec2u(tx, ty);
}

fn turn(place: u32, quarter: u32) -> u32 { return place ^ (2u * quarter); }

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
  narrowQuarter(sums, 0u, turn(tx, 0u), turn(ty, 0u));
  narrowQuarter(sums, 1u, turn(tx, 1u), turn(ty, 1u));
  narrowQuarter(sums, 2u, turn(tx, 2u), turn(ty, 2u));
  narrowQuarter(sums, 3u, turn(tx, 3u), turn(ty, 3u));
}

fn narrowQuarter(sums: ptr<function, Narrow>, quarter: u32, x: u32, y: u32) {
  narrowStep(sums, quarter, 0u, x, y);
  narrowStep(sums, quarter, 1u, x, y);
  narrowStep(sums, quarter, 2u, x, y);
  narrowStep(sums, quarter, 3u, x, y);
}

fn narrowStep(sums: ptr<function, Narrow>, quarter: u32, i: u32, x: u32, y: u32) {
  let b = rightSlice[quarter][i][0][x];
  (*sums)[0] = outer((*sums)[0], leftSlice[quarter][i][0][y], b);
  (*sums)[1] = outer((*sums)[1], leftSlice[quarter][i][1][y], b);
}

fn multiplyWide(sums: ptr<function, Wide>, tx: u32, ty: u32) {
  wideQuarter(sums, 0u, turn(tx, 0u), turn(ty, 0u));
  wideQuarter(sums, 1u, turn(tx, 1u), turn(ty, 1u));
  wideQuarter(sums, 2u, turn(tx, 2u), turn(ty, 2u));
  wideQuarter(sums, 3u, turn(tx, 3u), turn(ty, 3u));
}

fn wideQuarter(sums: ptr<function, Wide>, quarter: u32, x: u32, y: u32) {
  wideStep(sums, quarter, 0u, x, y);
  wideStep(sums, quarter, 1u, x, y);
  wideStep(sums, quarter, 2u, x, y);
  wideStep(sums, quarter, 3u, x, y);
}

fn wideStep(sums: ptr<function, Wide>, quarter: u32, i: u32, x: u32, y: u32) {
  let a0 = leftSlice[quarter][i][0][y];
  let a1 = leftSlice[quarter][i][1][y];
  let b0 = rightSlice[quarter][i][0][x];
  let b1 = rightSlice[quarter][i][1][x];
  (*sums)[0] = outer((*sums)[0], a0, b0);
  (*sums)[1] = outer((*sums)[1], a0, b1);
  (*sums)[2] = outer((*sums)[2], a1, b0);
  (*sums)[3] = outer((*sums)[3], a1, b1);
}

// Writes one thread's block of a slice: 4 rows by 4 along the depth, from read_NAME.
fn putLeft(thread: u32, block: mat4x4f) {
  if (thread >= 64u) { return; }
  let turned = transpose(block);
  let quarter = thread % 4u;
  let half = thread / 32u;
  let place = turn(thread / 4u % 8u, quarter);
  leftSlice[quarter][0][half][place] = turned[0];
  leftSlice[quarter][1][half][place] = turned[1];
  leftSlice[quarter][2][half][place] = turned[2];
  leftSlice[quarter][3][half][place] = turned[3];
}

// The same to the right, of a slice of 4 · width columns.
fn putRight(width: u32, thread: u32, block: mat4x4f) {
  if (thread >= 4u * width) { return; }
  let turned = transpose(block);
  let quarter = thread % 4u;
  let half = thread / (4u * ACROSS);
  let place = turn(thread / 4u % ACROSS, quarter);
  rightSlice[quarter][0][half][place] = turned[0];
  rightSlice[quarter][1][half][place] = turned[1];
  rightSlice[quarter][2][half][place] = turned[2];
  rightSlice[quarter][3][half][place] = turned[3];
}

// Writes to the left the slice whose depth is columns 16 `slice` … of a tile, these 4 columns being one thread's.
fn putColumns(slice: u32, tx: u32, ty: u32, upper: mat4x4f, lower: mat4x4f) {
  if (tx / 4u != slice) { return; }
  let quarter = tx % 4u;
  let place = turn(ty, quarter);
  let above = transpose(upper);
  let below = transpose(lower);
  leftSlice[quarter][0][0][place] = above[0];
  leftSlice[quarter][1][0][place] = above[1];
  leftSlice[quarter][2][0][place] = above[2];
  leftSlice[quarter][3][0][place] = above[3];
  leftSlice[quarter][0][1][place] = below[0];
  leftSlice[quarter][1][1][place] = below[1];
  leftSlice[quarter][2][1][place] = below[2];
  leftSlice[quarter][3][1][place] = below[3];
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
