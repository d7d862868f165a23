// C = activation(scale · Σ over segments s of A_s · B_s + bias), float32, of any size, batched over the workgroup's z.
//
// A_s is [m, depth_s], the rows of A_0 strideA numbers apart, or [depth, m] with A_KM; B_s is [n, depth_s], or [depth_s, n] with
// B_KN, the rows of B_0 strideB numbers apart. GATHERED: column k of A_0 is column indices[k] of its buffer. ROWS: row i of A_0
// is row rows[i] of its buffer times weights[i], and row i of the product is added to row rows[i] of C. PARTS: the depth of A_0
// is cut into parts, one for each z of the workgroups, so that many work on one tile; C is [parts, m, n], to be added up by
// sum_parts.
//
// A workgroup of 256 threads makes a tile of 16 RUN × 16 RUN numbers of C, RUN × RUN of them a thread, from slices of SLICE
// along the depth that it holds in workgroup memory (gemm_slice.wgsl), 16 with WIDE.
//
// Measured on an H100 through Dawn by its clock, TFLOP/s of xW / dy Wᵀ at [8192, 4096] · [4096, 4096], WIDE: 45.3 / 42.6. With
// warps of 4 × 8 threads row by row 44.3 / 41.4. With one function for moving either factor, which asks for the thread in itself,
// 43.7 / 42.4. 128 threads of 8 × 16 numbers 46.1 / 46.0, but 32.1 of a gathered form that has 37.6, and they need twice the
// registers; tiles of 64 × 64 with 64 threads 42.8 / 42.3. On an H200 before these, of dy Wᵀ at [2048, 11008] · [11008, 4096]ᵀ:
// 40.8; slices of 8 in two alternating buffers 34.8, slices of 32 35.2, the loop over a slice not unrolled 35.8.

alias Sums = array<vec4f, RUN * RUN / 4u>;

// Adds the outer product of one k of the slice.
fn multiply(acc: ptr<function, Sums>, k: u32, tx: u32, ty: u32) {
//#if WIDE
  let a0 = tileA[k][0][ty];
  let a1 = tileA[k][1][ty];
  let b0 = tileB[k][0][tx];
  let b1 = tileB[k][1][tx];
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
  let a = tileA[k][0][ty];
  let b = tileB[k][0][tx];
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

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  // a warp is 4 × 8 threads, in an order in which neighbours read few different vec4s
  let lane = thread % 32u;
  let warp = thread / 32u;
  let tx = (warp % 2u) * 8u + (lane / 2u) % 8u;
  let ty = (warp / 2u) * 4u + lane / 16u * 2u + lane % 2u;
  let row0 = group.y * TILE;
  let column0 = group.x * TILE;
  let movesA = thread < 128u;
  let mover = thread % 128u;
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
  if (movesA) { loadA(&moved, 0u, first, mover, row0, batch); }
  else { loadB(&moved, 0u, first, mover, column0, batch); }
  for (var k = first; k < end; k += SLICE) {
    if (movesA) { putA(&moved, 0u, mover); }
    else { putB(&moved, mover); }
    workgroupBarrier();
    // the next slice is under way while this one is multiplied
    if (k + SLICE < end) {
      if (movesA) { loadA(&moved, 0u, k + SLICE, mover, row0, batch); }
      else { loadB(&moved, 0u, k + SLICE, mover, column0, batch); }
    }
    multiplySlice(&acc, tx, ty);
    workgroupBarrier();
  }
  // The other segments are short. In one loop with the first, deciding which one is next cost it a sixth of its speed.
//#if SEGMENTS_2
  for (var k = 0u; k < depth1; k += SLICE) {
    if (movesA) {
      loadA(&moved, 1u, k, mover, row0, batch);
      putA(&moved, 1u, mover);
    } else {
      loadB(&moved, 1u, k, mover, column0, batch);
      putB(&moved, mover);
    }
    workgroupBarrier();
    for (var x = 0u; x < SLICE; x++) { multiply(&acc, x, tx, ty); }
    workgroupBarrier();
  }
//#end
//#if SEGMENTS_3
  for (var k = 0u; k < depth2; k += SLICE) {
    if (movesA) {
      loadA(&moved, 2u, k, mover, row0, batch);
      putA(&moved, 2u, mover);
    } else {
      loadB(&moved, 2u, k, mover, column0, batch);
      putB(&moved, mover);
    }
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
