// output = softmax(scale · q kᵀ) v and logSumExp of each head, as FlashAttention-2 (arXiv 2307.08691) has it: a workgroup has 64
// rows of q and goes over the keys in wide tiles, with the largest score and the sum of powers so far of each row. Powers
// are of 2: u.scale is the scale · log₂ e.

// A score of what is not seen. A row that has seen nothing yet counts such keys as if it saw them, until the factor of its
// first real score, 2^(UNSEEN − score) = 0, takes them away.
const UNSEEN = -1e30;
const LN_2 = 0.6931471805599453;

// The scores of four rows, of what they do not see UNSEEN.
fn seen(scores: mat4x4f, row: u32, tokens: vec4u, ofRows: vec4i, ofKeys: vec4i) -> mat4x4f {
  return mat4x4f(
    seenByRow(scores[0], row, tokens, ofRows.x, ofKeys),
    seenByRow(scores[1], row + 1u, tokens, ofRows.y, ofKeys),
    seenByRow(scores[2], row + 2u, tokens, ofRows.z, ofKeys),
    seenByRow(scores[3], row + 3u, tokens, ofRows.w, ofKeys),
  );
}

fn seenByRow(scores: vec4f, row: u32, tokens: vec4u, ofRow: i32, ofKeys: vec4i) -> vec4f {
  return select(u.scale * scores, vec4f(UNSEEN), (tokens > vec4u(row)) | (ofKeys != vec4i(ofRow)));
}

// The largest number of each of four rows.
fn largest(a: mat4x4f, b: mat4x4f) -> vec4f {
  let m = transpose(mat4x4f(max(a[0], b[0]), max(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])));
  return max(max(m[0], m[1]), max(m[2], m[3]));
}

fn sumOfRows(a: mat4x4f, b: mat4x4f) -> vec4f {
  let m = transpose(a + b);
  return m[0] + m[1] + (m[2] + m[3]);
}

fn powers(scores: mat4x4f, top: vec4f) -> mat4x4f {
  return mat4x4f(
    exp2(scores[0] - top.x),
    exp2(scores[1] - top.y),
    exp2(scores[2] - top.z),
    exp2(scores[3] - top.w),
  );
}

fn scaled(rows: mat4x4f, factors: vec4f) -> mat4x4f {
  return mat4x4f(rows[0] * factors.x, rows[1] * factors.y, rows[2] * factors.z, rows[3] * factors.w);
}

// Shows the threads of a row what each of them has of it: [x / 4][x % 4][…][ty] is of thread (x, ty).
fn share(tx: u32, ty: u32, upper: vec4f, lower: vec4f) {
  workgroupBarrier();
  leftSlice[tx / 4u][tx % 4u][0][ty] = upper;
  leftSlice[tx / 4u][tx % 4u][1][ty] = lower;
  workgroupBarrier();
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let position = positionOf(thread);
  let tx = position.x;
  let ty = position.y;
  let head = group.x;
  let batch = group.y;
  // the last rows see most: they begin first
  let row0 = (groups.z - 1u - group.z) * 64u;
  let upper = row0 + 4u * ty;
  let lower = upper + 32u;
  let strideQ = u.heads * u.c;
  let strideK = u.kvHeads * u.c;
  let startQ = batch * u.t * strideQ + head * u.c;
  let startK = batch * u.t * strideK + head / (u.heads / u.kvHeads) * u.c;
  let ofUpper = segmentsOf(batch, upper);
  let ofLower = segmentsOf(batch, lower);
  var sums: Wide;
  var topUpper = vec4f(UNSEEN);
  var topLower = vec4f(UNSEEN);
  var totalUpper = vec4f(0);
  var totalLower = vec4f(0);
  let end = min(u.t, row0 + 64u);
  for (var key0 = 0u; key0 < end; key0 += 8u * ACROSS) {
    var p = Wide();
    for (var k = 0u; k < u.c; k += 16u) {
      let left = read_queries(startQ, strideQ, row0, 16u, k, thread);
      let right = read_keys(startK, strideK, key0, 2u * ACROSS, k, thread);
      workgroupBarrier();
      putLeft(thread, left);
      putRight(2u * ACROSS, thread, right);
      workgroupBarrier();
      multiplyWide(&p, tx, ty);
    }
    let first = key0 + 4u * tx;
    let second = first + 4u * ACROSS;
    let numbers = first + vec4u(0, 1, 2, 3);
    let otherNumbers = second + vec4u(0, 1, 2, 3);
    let ofKeys = segmentsOf(batch, first);
    let ofOthers = segmentsOf(batch, second);
    p[0] = seen(p[0], upper, numbers, ofUpper, ofKeys);
    p[1] = seen(p[1], upper, otherNumbers, ofUpper, ofOthers);
    p[2] = seen(p[2], lower, numbers, ofLower, ofKeys);
    p[3] = seen(p[3], lower, otherNumbers, ofLower, ofOthers);
    share(tx, ty, largest(p[0], p[1]), largest(p[2], p[3]));
    var newUpper = topUpper;
    var newLower = topLower;
    for (var x = 0u; x < ACROSS; x++) {
      newUpper = max(newUpper, leftSlice[x / 4u][x % 4u][0][ty]);
      newLower = max(newLower, leftSlice[x / 4u][x % 4u][1][ty]);
    }
    let factorUpper = exp2(topUpper - newUpper);
    let factorLower = exp2(topLower - newLower);
    topUpper = newUpper;
    topLower = newLower;
    p[0] = powers(p[0], topUpper);
    p[1] = powers(p[1], topUpper);
    p[2] = powers(p[2], topLower);
    p[3] = powers(p[3], topLower);
    totalUpper = totalUpper * factorUpper + sumOfRows(p[0], p[1]);
    totalLower = totalLower * factorLower + sumOfRows(p[2], p[3]);
    sums[0] = scaled(sums[0], factorUpper);
    sums[1] = scaled(sums[1], factorUpper);
    sums[2] = scaled(sums[2], factorLower);
    sums[3] = scaled(sums[3], factorLower);
    for (var slice = 0u; slice < ACROSS / 2u && key0 + 16u * slice < end; slice++) {
      workgroupBarrier();
      putColumns(slice, tx, ty, p[0], p[2]);
      putColumns(slice, ACROSS + tx, ty, p[1], p[3]);
      put_values(startK, strideK, key0 + 16u * slice, thread);
      workgroupBarrier();
      multiplyWide(&sums, tx, ty);
    }
  }
  share(tx, ty, totalUpper, totalLower);
  var allUpper = vec4f(0);
  var allLower = vec4f(0);
  for (var x = 0u; x < ACROSS; x++) {
    allUpper += leftSlice[x / 4u][x % 4u][0][ty];
    allLower += leftSlice[x / 4u][x % 4u][1][ty];
  }
  sums[0] = scaled(sums[0], 1.0 / allUpper);
  sums[1] = scaled(sums[1], 1.0 / allUpper);
  sums[2] = scaled(sums[2], 1.0 / allLower);
  sums[3] = scaled(sums[3], 1.0 / allLower);
  storeTile(startQ, strideQ, row0, tx, ty, sums);
  if (tx > 0u) { return; }
  let logUpper = LN_2 * (topUpper + log2(allUpper));
  let logLower = LN_2 * (topLower + log2(allLower));
  let start = (batch * u.heads + head) * u.t;
  for (var i = 0u; i < 4u; i++) {
    if (upper + i < u.t) { logSumExp[start + upper + i] = logUpper[i]; }
    if (lower + i < u.t) { logSumExp[start + lower + i] = logLower[i]; }
  }
}
