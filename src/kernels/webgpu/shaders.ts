// Generated from kernels/webgpu/*.wgsl by kernels/webgpu/generate.mjs.

export const activation = `// The activation of a layer.
fn activate(x: vec4f) -> vec4f {
//#if RELU
  return max(x, vec4f(0));
//#else
//#if ELU
  return select(x, exp(x) - 1.0, x < vec4f(0));
//#else
  return x;
//#end
//#end
}
`;

export const adamw_step = `// A step of AdamW on numbers, or vec4s, i; u.decayed counts numbers.
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= u.size) { return; }
//#if SCALED
  let g = scale[0] * grads[i];
//#else
  let g = grads[i];
//#end
  let mean = m[i] + u.share1 * (g - m[i]);
  let square = u.beta2 * v[i] + u.share2 * (g * g);
//#if VEC4
  let kept = select(vec4f(1), vec4f(u.kept), 4u * i + vec4u(0, 1, 2, 3) < vec4u(u.decayed));
//#else
  let kept = select(1.0, u.kept, i < u.decayed);
//#end
  newParams[i] = kept * params[i] - u.rate * (mean / (u.rootFactor * sqrt(square) + u.epsilon));
  newM[i] = mean;
  newV[i] = square;
}
`;

export const attention = `// output = softmax(scale · q kᵀ) v and logSumExp of each head, as FlashAttention-2 (arXiv 2307.08691) has it: a workgroup has 64
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
`;

export const attention_dots = `// dots[b, h, t] = Σ dy · y of the head h of token t, both [b, t, heads, c]: 8 threads a head, which the workgroup has 32 of.
var<workgroup> sums: array<f32, 256>;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = (group.x + group.y * groups.x) * 32u + thread / 8u;
  var sum = 0.0;
  if (i < u.size) {
    for (var x = thread % 8u; x < u.width; x += 8u) {
//#if VEC4
      sum += dot(dy[i * u.width + x], y[i * u.width + x]);
//#else
      sum += dy[i * u.width + x] * y[i * u.width + x];
//#end
    }
  }
  sums[thread] = sum;
  workgroupBarrier();
  if (thread % 8u > 0u || i >= u.size) { return; }
  var total = 0.0;
  for (var x = 0u; x < 8u; x++) { total += sums[thread + x]; }
  let token = i / u.heads;
  dots[(token / u.t * u.heads + i % u.heads) * u.t + token % u.t] = total;
}
`;

export const attention_grad = `// The gradient by q, k or v of causal attention, as FlashAttention-2 (arXiv 2307.08691) has it: a workgroup has 64 tokens of
// a head of q and goes over those that they see, or with KEYS of k and v and goes over those that see them, in narrow tiles
// whose scores it makes again.
//
//   by q (rows q, columns k):  output = scale · dS k
//   by k (rows k, columns q):  output = scale · dSᵀ q    KEYS
//   by v (rows k, columns q):  output = Pᵀ dy            KEYS, OF_V
//
// P = exp(scale · rows · columnsᵀ − logSumExp), dS = P · (dP − dots), dP = gradRows · gradColumnsᵀ: dy vᵀ, or v dyᵀ.
// KEYS: what heads h of q share, the h-th of them adds to part h of the output, to be added up by sum_parts.
const LOG2_E = 1.4426950408889634;

// P or dS of four rows, 0 where nothing is seen.
fn weights(
  scores: mat4x4f,
  gradients: mat4x4f,
  row: u32,
  columns: vec4u,
  logs: mat4x4f,
  dots: mat4x4f,
  ofRows: vec4i,
  ofColumns: vec4i,
) -> mat4x4f {
  return mat4x4f(
    weightsOfRow(scores[0], gradients[0], row, columns, logs[0], dots[0], ofRows.x, ofColumns),
    weightsOfRow(scores[1], gradients[1], row + 1u, columns, logs[1], dots[1], ofRows.y, ofColumns),
    weightsOfRow(scores[2], gradients[2], row + 2u, columns, logs[2], dots[2], ofRows.z, ofColumns),
    weightsOfRow(scores[3], gradients[3], row + 3u, columns, logs[3], dots[3], ofRows.w, ofColumns),
  );
}

fn weightsOfRow(
  scores: vec4f,
  gradients: vec4f,
  row: u32,
  columns: vec4u,
  logs: vec4f,
  dots: vec4f,
  ofRow: i32,
  ofColumns: vec4i,
) -> vec4f {
//#if KEYS
  let unseen = (columns < vec4u(row)) | (columns >= vec4u(u.t));
//#else
  let unseen = columns > vec4u(row);
//#end
  let p = exp2(LOG2_E * (u.scale * scores - logs));
//#if OF_V
  let weight = p;
//#else
  let weight = p * (gradients - dots);
//#end
  return select(weight, vec4f(0), unseen | (ofColumns != vec4i(ofRow)));
}

// What logSumExp, or dots, has of four queries, [b, heads, t].
fn logsOf(start: u32, query: u32) -> vec4f {
  let last = u.t - 1u;
  return vec4f(
    logSumExp[start + min(query, last)],
    logSumExp[start + min(query + 1u, last)],
    logSumExp[start + min(query + 2u, last)],
    logSumExp[start + min(query + 3u, last)],
  );
}

fn dotsOf(start: u32, query: u32) -> vec4f {
//#if OF_V
  return vec4f(0);
//#else
  let last = u.t - 1u;
  return vec4f(
    dots[start + min(query, last)],
    dots[start + min(query + 1u, last)],
    dots[start + min(query + 2u, last)],
    dots[start + min(query + 3u, last)],
  );
//#end
}

// Of the numbers of four queries, those of each of 4 × 4 pairs: the queries are its rows, or its columns with KEYS.
fn ofPairs(queries: vec4f) -> mat4x4f {
//#if KEYS
  return mat4x4f(queries, queries, queries, queries);
//#else
  return mat4x4f(vec4f(queries.x), vec4f(queries.y), vec4f(queries.z), vec4f(queries.w));
//#end
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
  let share = u.heads / u.kvHeads;
  let strideQ = u.heads * u.c;
  let strideK = u.kvHeads * u.c;
  let startQ = batch * u.t * strideQ + head * u.c;
  let startK = batch * u.t * strideK + head / share * u.c;
  let startNumbers = (batch * u.heads + head) * u.t;
//#if KEYS
  // the first keys are seen by most: they begin first
  let row0 = group.z * 64u;
  let begin = row0;
  let end = u.t;
  let startRows = startK;
  let strideRows = strideK;
  let startColumns = startQ;
  let strideColumns = strideQ;
//#else
  // the last queries see most
  let row0 = (groups.z - 1u - group.z) * 64u;
  let begin = 0u;
  let end = min(u.t, row0 + 64u);
  let startRows = startQ;
  let strideRows = strideQ;
  let startColumns = startK;
  let strideColumns = strideK;
//#end
  let upper = row0 + 4u * ty;
  let lower = upper + 32u;
  let ofUpper = segmentsOf(batch, upper);
  let ofLower = segmentsOf(batch, lower);
//#if KEYS
//#else
  let logsUpper = ofPairs(logsOf(startNumbers, upper));
  let logsLower = ofPairs(logsOf(startNumbers, lower));
  let dotsUpper = ofPairs(dotsOf(startNumbers, upper));
  let dotsLower = ofPairs(dotsOf(startNumbers, lower));
//#end
  var sums: Wide;
  for (var column0 = begin; column0 < end; column0 += 4u * ACROSS) {
    var p = Narrow();
    for (var k = 0u; k < u.c; k += 16u) {
      let left = read_rows(startRows, strideRows, row0, 16u, k, thread);
      let right = read_columns(startColumns, strideColumns, column0, ACROSS, k, thread);
      workgroupBarrier();
      putLeft(thread, left);
      putRight(ACROSS, thread, right);
      workgroupBarrier();
      multiplyNarrow(&p, tx, ty);
    }
    var gradients = Narrow();
//#if OF_V
//#else
    for (var k = 0u; k < u.c; k += 16u) {
      let left = read_gradRows(startRows, strideRows, row0, 16u, k, thread);
      let right = read_gradColumns(startColumns, strideColumns, column0, ACROSS, k, thread);
      workgroupBarrier();
      putLeft(thread, left);
      putRight(ACROSS, thread, right);
      workgroupBarrier();
      multiplyNarrow(&gradients, tx, ty);
    }
//#end
    let column = column0 + 4u * tx;
    let columnNumbers = column + vec4u(0, 1, 2, 3);
    let ofColumns = segmentsOf(batch, column);
//#if KEYS
    let logsUpper = ofPairs(logsOf(startNumbers, column));
    let dotsUpper = ofPairs(dotsOf(startNumbers, column));
    let logsLower = logsUpper;
    let dotsLower = dotsUpper;
//#end
    p[0] = weights(p[0], gradients[0], upper, columnNumbers, logsUpper, dotsUpper, ofUpper, ofColumns);
    p[1] = weights(p[1], gradients[1], lower, columnNumbers, logsLower, dotsLower, ofLower, ofColumns);
    for (var slice = 0u; slice < ACROSS / 4u && column0 + 16u * slice < end; slice++) {
      workgroupBarrier();
      putColumns(slice, tx, ty, p[0], p[1]);
//#if OF_V
      put_gradColumns(startColumns, strideColumns, column0 + 16u * slice, thread);
//#else
      put_columns(startColumns, strideColumns, column0 + 16u * slice, thread);
//#end
      workgroupBarrier();
      multiplyWide(&sums, tx, ty);
    }
  }
//#if OF_V
//#else
  sums[0] *= u.scale;
  sums[1] *= u.scale;
  sums[2] *= u.scale;
  sums[3] *= u.scale;
//#end
//#if KEYS
  let part = head % share * groups.y * u.t * strideK;
  storeTile(part + startK, strideK, row0, tx, ty, sums);
//#else
  storeTile(startQ, strideQ, row0, tx, ty, sums);
//#end
}
`;

export const attention_matrix = `// How the kernels of attention read NAME: rows of u.c numbers of one head, that of token 0 beginning at number \`start\`,
// \`stride\` numbers apart. A token beyond the last is the last.
fn row_NAME(start: u32, stride: u32, token: u32, column: u32) -> vec4f {
  return load_NAME(start + min(token, u.t - 1u) * stride, column, u.c);
}

// One thread's block of the slice that is numbers k … k + 15 of the 4 · width tokens from \`first\` on: see putLeft.
fn read_NAME(start: u32, stride: u32, first: u32, width: u32, k: u32, thread: u32) -> mat4x4f {
  if (thread >= 4u * width) { return mat4x4f(); }
  let token = first + thread / 4u * 4u;
  let column = k + thread % 4u * 4u;
  return mat4x4f(
    row_NAME(start, stride, token, column),
    row_NAME(start, stride, token + 1u, column),
    row_NAME(start, stride, token + 2u, column),
    row_NAME(start, stride, token + 3u, column),
  );
}

// Writes to the right the slice whose depth is the 16 tokens from \`first\` on, and whose columns are the numbers of the head.
fn put_NAME(start: u32, stride: u32, first: u32, thread: u32) {
  let i = thread / (2u * ACROSS);
  let block = thread % (2u * ACROSS);
  let half = block / ACROSS;
  let place = block % ACROSS;
  let a = row_NAME(start, stride, first + i, 4u * block);
  let b = row_NAME(start, stride, first + i + 4u, 4u * block);
  let c = row_NAME(start, stride, first + i + 8u, 4u * block);
  let d = row_NAME(start, stride, first + i + 12u, 4u * block);
  rightSlice[0][i][half][place] = a;
  rightSlice[1][i][half][turn(place, 1u)] = b;
  rightSlice[2][i][half][turn(place, 2u)] = c;
  rightSlice[3][i][half][turn(place, 3u)] = d;
}
`;

export const attention_tile = `// What the kernels of attention have in common: products of tiles by a workgroup of 8 × ACROSS threads.
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

// Writes to the left the slice whose depth is columns 16 \`slice\` … of a tile, these 4 columns being one thread's.
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

// Numbers \`column\` … \`column\` + 3 of a row of the output, that of token \`row\` and beginning at number \`start\`.
fn store(start: u32, row: u32, column: u32, value: vec4f) {
  if (row >= u.t || column >= u.c) { return; }
//#if VEC4
  output[(start + column) / 4u] = value;
//#else
  for (var i = 0u; i < min(4u, u.c - column); i++) { output[start + column + i] = value[i]; }
//#end
}

// A tile of the output from number \`start\` on, its tokens \`stride\` numbers apart.
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
`;

export const column_squares = `// parts[part, j] = Σ over the rows i of the part of dy[i, j]²: 64 columns and 4 rows at a time for a workgroup.
var<workgroup> sums: array<f32, 256>;

@compute @workgroup_size(64, 4)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) id: vec3u) {
  let j = group.x * 64u + id.x;
  var total = 0.0;
  if (j < u.n) {
    let end = min(u.m, (group.y + 1u) * u.part);
    for (var i = group.y * u.part + id.y; i < end; i += 4u) {
      let value = dy[i * u.n + j];
      total += value * value;
    }
  }
  sums[id.y * 64u + id.x] = total;
  workgroupBarrier();
  if (id.y == 0u && j < u.n) {
    parts[group.y * u.n + j] = sums[id.x] + sums[64u + id.x] + sums[128u + id.x] + sums[192u + id.x];
  }
}
`;

export const count_labels = `// counted = labels, −1 for those that do not count; scale = 1 / max(1, labels that count). One workgroup.
@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) thread: u32) {
  var count = 0.0;
  for (var i = thread; i < u.size; i += 256u) {
    let label = labels[i];
    let counts = label >= 0 && label < i32(u.classes) && label != bitcast<i32>(u.ignored);
    counted[i] = select(-1, label, counts);
    count += select(0.0, 1.0, counts);
  }
  let total = sumOfGroup(count, thread);
  if (thread == 0u) { scale[0] = 1.0 / max(1.0, total); }
}
`;

export const cross_entropy = `// top = the largest of each row of logits, total = Σ exp(logits − top), losses = log total + top − logit of the label, 0 for
// a label of −1. A workgroup a row, which it reads once: each thread scales what it has summed whenever its largest grows.
const LOWEST = -0x1.fffffep127f;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.x + group.y * groups.x;
  if (row >= u.rows) { return; }
  let start = row * u.width;
  var largest = LOWEST;
  var sum = 0.0;
  for (var i = thread; i < u.width; i += 256u) {
    let x = logits[start + i];
//#if VEC4
    let larger = max(max(largest, max(x.x, x.y)), max(x.z, x.w));
    sum = sum * exp(largest - larger) + dot(exp(x - larger), vec4f(1));
//#else
    let larger = max(largest, x);
    sum = sum * exp(largest - larger) + exp(x - larger);
//#end
    largest = larger;
  }
  let ofRow = maxOfGroup(largest, thread);
  let powers = sumOfGroup(sum * exp(largest - ofRow), thread);
  if (thread > 0u) { return; }
  top[row] = ofRow;
  total[row] = powers;
  let label = u32(max(0, labels[row]));
//#if VEC4
  let chosen = logits[start + label / 4u][label % 4u];
//#else
  let chosen = logits[start + label];
//#end
  // top − chosen first: large logits then lose no digits
  losses[row] = select(ofRow - chosen + log(powers), 0.0, labels[row] < 0);
}
`;

export const cross_entropy_grad = `// gradient = scale · (exp(logits − top) / total − 1 at the label), a row of 0 for a label of −1. A workgroup a row.
@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.x + group.y * groups.x;
  if (row >= u.rows) { return; }
  let start = row * u.width;
  let counts = labels[row] >= 0;
  let label = u32(max(0, labels[row]));
  let largest = top[row];
  let factor = scale[0] / total[row];
  for (var i = thread; i < u.width; i += 256u) {
    var slope = factor * exp(logits[start + i] - largest);
//#if VEC4
    if (i == label / 4u) { slope[label % 4u] -= scale[0]; }
    gradient[start + i] = select(vec4f(0), slope, counts);
//#else
    if (i == label) { slope -= scale[0]; }
    gradient[start + i] = select(0.0, slope, counts);
//#end
  }
}
`;

export const decode_half = `// The two numbers of a word at half precision: bfloat16 ones if BRAIN, else float16 ones.
fn decode(word: u32) -> vec2f {
//#if BRAIN
  return vec2f(bitcast<f32>(word << 16u), bitcast<f32>(word & 0xffff0000u));
//#else
  return unpack2x16float(word);
//#end
}
`;

export const embedding_grad = `// dTable[id] += Σ of the rows of dy whose id it is, in their order; dTable is zero before. A workgroup for each row and 256
// columns, or vec4s of them: its threads look for the row's id among all rows together, and if none before it has that id,
// each sums a column.
var<workgroup> found: array<atomic<u32>, 8>;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.x + group.y * groups.x;
  if (row >= u.rows) { return; }
  let id = ids[row];
  if (id >= u.classes) { return; }
  let column = group.z * 256u + thread;
  var isFirst = true;
//#if VEC4
  var sum = vec4f(0);
//#else
  var sum = 0.0;
//#end
  for (var start = 0u; start < u.rows; start += 256u) {
    if (thread < 8u) { atomicStore(&found[thread], 0u); }
    workgroupBarrier();
    if (start + thread < u.rows && ids[start + thread] == id) {
      atomicOr(&found[thread / 32u], 1u << (thread % 32u));
    }
    workgroupBarrier();
    for (var word = 0u; word < 8u && isFirst; word++) {
      for (var bits = atomicLoad(&found[word]); bits != 0u && isFirst; bits &= bits - 1u) {
        let other = start + word * 32u + countTrailingZeros(bits);
        isFirst = other >= row;
        if (isFirst && column < u.width) { sum += dy[other * u.width + column]; }
      }
    }
    workgroupBarrier();
  }
  if (isFirst && column < u.width) { dTable[id * u.width + column] = sum; }
}
`;

export const embedding_lookup = `// rows[i] = table[ids[i]], a workgroup each. HALF: the table is at half precision, two numbers to a word; u.width is that of the
// table, u.columns that of the result.
@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.x + group.y * groups.x;
  if (row >= u.rows) { return; }
  let start = ids[row] * u.width;
  for (var j = thread; j < u.width; j += 64u) {
//#if HALF
    let pair = decode(table[start + j]);
    let to = row * u.columns + 2u * j;
    rows[to] = pair.x;
    if (2u * j + 1u < u.columns) { rows[to + 1u] = pair.y; }
//#else
    rows[row * u.width + j] = table[start + j];
//#end
  }
}
`;

export const encode_half = `// The word of two numbers at half precision, the nearest ones, ties to even: bfloat16 ones if BRAIN, else float16 ones.
// WGSL's pack2x16float may round either way.
fn encodeOne(x: f32) -> u32 {
  let bits = bitcast<u32>(x);
  let magnitude = bits & 0x7fffffffu;
//#if BRAIN
  if (magnitude > 0x7f800000u) { return (bits >> 16u) | 0x40u; }
  return (bits + 0x7fffu + ((bits >> 16u) & 1u)) >> 16u;
//#else
  let sign = (bits >> 16u) & 0x8000u;
  if (magnitude > 0x7f800000u) { return sign | 0x7e00u; }
  if (magnitude >= 0x477ff000u) { return sign | 0x7c00u; }
  if (magnitude >= 0x38800000u) {
    return sign | ((magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13u) & 1u)) >> 13u);
  }
  // below 2^-14 halves are 2^-24 apart
  let steps = abs(x) * 16777216.0;
  let whole = u32(floor(steps));
  let rest = steps - floor(steps);
  return sign | (whole + select(0u, 1u, rest > 0.5 || (rest == 0.5 && whole % 2u == 1u)));
//#end
}

fn encode(low: f32, high: f32) -> u32 { return encodeOne(low) | (encodeOne(high) << 16u); }
`;

export const gated_unit = `// y = x · σ(u(x)) · up for x = gate, u(x) = x, or LINEAR · x + CUBIC · x³ with GELU; with GRAD its gradients for dy.
const LINEAR = 1.5957691216057308; // √(8/π)
const CUBIC = 0.044715 * LINEAR;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= u.size) { return; }
  let x = gate[i];
//#if GELU
  let argument = x * (LINEAR + CUBIC * x * x);
//#else
  let argument = x;
//#end
  let sigmoid = 1.0 / (1.0 + exp(-argument));
  let activated = x * sigmoid;
//#if GRAD
  var curved = activated - activated * sigmoid;
//#if GELU
  curved *= LINEAR + 3.0 * CUBIC * x * x;
//#end
  dGate[i] = dy[i] * up[i] * (sigmoid + curved);
  dUp[i] = dy[i] * activated;
//#else
  y[i] = activated * up[i];
//#end
}
`;

export const gemm = `// C = activation(scale · Σ over segments s of A_s · B_s + bias), float32, of any size, batched over the workgroup's z.
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
`;

export const gemm_slice = `// The slices of gemm.wgsl's factors, from memory through registers into workgroup memory.

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
`;

export const global_norm = `// norm = √Σ squares, scale = 1 if norm ≤ maxNorm, else maxNorm / norm. One workgroup.
@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) thread: u32) {
  var sum = 0.0;
  for (var i = thread; i < u.size; i += 256u) { sum += squares[i]; }
  let all = sqrt(sumOfGroup(sum, thread));
  if (thread == 0u) {
    norm[0] = all;
    // not min(1, maxNorm / norm), which may be 1 for NaN
    scale[0] = select(u.maxNorm / all, 1.0, all <= u.maxNorm);
  }
}
`;

export const half_matrix = `// The same for a matrix at half precision, two numbers to a word of the buffer NAME, of vec2s of words if VEC4. Rows are an
// even count of numbers long, and what fills them up is 0.
fn load_NAME(start: u32, column: u32, width: u32) -> vec4f {
//#if VEC4
  let words = NAME[(start + column) / 4u];
  let v = vec4f(decode(words.x), decode(words.y));
//#if PARTIAL
  return select(vec4f(0), v, column < width);
//#else
  return v;
//#end
//#else
  let i = (start + column) / 2u;
  var v = vec4f(0);
  if (column < width) { v = vec4f(decode(NAME[i]), 0, 0); }
  if (column + 2u < width) { v = vec4f(v.xy, decode(NAME[i + 1u])); }
  return v;
//#end
}
`;

export const inverse_cholesky = `// L⁻¹ of G = LLᵀ, both [size, size]: see portable/inverse_cholesky.ts. One workgroup; a thread has every 64th row.
//
// Elimination in place: after column k, the columns up to k of \`inverse\` hold rows of L⁻¹, as far as they are known, and the
// others what is left of G below row k.
@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) thread: u32) {
  let n = u.size;
  for (var i = thread; i < n * n; i += 64u) { inverse[i] = gram[i]; }
  for (var k = 0u; k < n; k++) {
    storageBarrier();
    let least = u.leastLeft * gram[k * n + k];
    let left = inverse[k * n + k];
    let scale = select(inverseSqrt(max(left, least)), 0.0, least == 0.0);
    for (var i = k + 1u + thread; i < n; i += 64u) {
      // rounding divided by next to nothing is not to grow from row to row
      let l = select(0.0, inverse[i * n + k] * scale, left > least);
      for (var j = 0u; j < n; j++) {
        // row k is not scaled yet; of column k itself nothing is left but L⁻¹'s own
        let above = select(inverse[k * n + j] * scale, scale, j == k);
        inverse[i * n + j] = select(inverse[i * n + j], 0.0, j == k) - l * above;
      }
    }
    storageBarrier();
    for (var j = thread; j < n; j += 64u) {
      let value = select(inverse[k * n + j], 1.0, j == k);
      inverse[k * n + j] = select(value * scale, 0.0, j > k);
    }
  }
}
`;

export const matrix = `// How a kernel reads the matrix NAME: four neighbours of a row. The matrix is a buffer of vec4s if VEC4, where a row is a
// whole number of them, and of single numbers otherwise.

// The numbers start + column … start + column + 3. column is a multiple of 4; with VEC4 start and width are too. With PARTIAL, as
// always without VEC4, it gives 0 from start + width on, else the following numbers: then the width of what is added up is a
// whole number of slices, and what lies beyond the other sides is not stored. Measured on an H200: 34.9 → 37.9 TFLOP/s.
fn load_NAME(start: u32, column: u32, width: u32) -> vec4f {
//#if PARTIAL
//#if VEC4
  return select(vec4f(0), NAME[(start + column) / 4u], column < width);
//#else
  let i = start + column;
  var v = vec4f(0);
  if (column < width) { v.x = NAME[i]; }
  if (column + 1u < width) { v.y = NAME[i + 1u]; }
  if (column + 2u < width) { v.z = NAME[i + 2u]; }
  if (column + 3u < width) { v.w = NAME[i + 3u]; }
  return v;
//#end
//#else
  return NAME[(start + column) / 4u];
//#end
}
`;

export const norm = `// y = x̂ · weight + bias of each row, bias with BIAS. With RESIDUAL the row is x + residual, and is stored too. A workgroup a
// row.
@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.x + group.y * groups.x;
  if (row >= u.rows) { return; }
  let start = row * u.width;
  let ofRow = statistics(start, thread);
  for (var i = thread; i < u.width; i += 256u) {
    let value = item(start + i);
    let normed = (value - ofRow.x) * ofRow.y;
//#if BIAS
    y[start + i] = normed * weight[i] + bias[i];
//#else
    y[start + i] = normed * weight[i];
//#end
//#if RESIDUAL
    sum[start + i] = value;
//#end
  }
}
`;

export const norm_grad = `// dx = (g − mean(g) − x̂ · mean(g · x̂)) / σ + dSum of each row, g = dy · weight, 1 / σ the second of its statistics; mean(g)
// only if CENTRED, dSum with SUM. A workgroup a row.
@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.x + group.y * groups.x;
  if (row >= u.rows) { return; }
  let start = row * u.width;
  let ofRow = statistics(start, thread);
  var gradients = 0.0;
  var products = 0.0;
  for (var i = thread; i < u.width; i += 256u) {
    let g = dy[start + i] * weight[i];
    gradients += along(g, Item(1));
    products += along(g, (item(start + i) - ofRow.x) * ofRow.y);
  }
  var mean = 0.0;
//#if CENTRED
  mean = sumOfGroup(gradients, thread) / u.size;
//#end
  let share = sumOfGroup(products, thread) / u.size;
  for (var i = thread; i < u.width; i += 256u) {
    let normed = (item(start + i) - ofRow.x) * ofRow.y;
    let gradient = (dy[start + i] * weight[i] - mean - normed * share) * ofRow.y;
//#if SUM
    dx[start + i] = gradient + dSum[start + i];
//#else
    dx[start + i] = gradient;
//#end
  }
}
`;

export const norm_row = `// What the norms have in common: the statistics of a row of u.width items, vec4s with VEC4 and single numbers otherwise,
// whose workgroup of 256 threads reads it from memory once and from its cache afterwards.
//#if VEC4
alias Item = vec4f;

fn along(a: Item, b: Item) -> f32 { return dot(a, b); }
//#else
alias Item = f32;

fn along(a: Item, b: Item) -> f32 { return a * b; }
//#end

fn item(i: u32) -> Item {
//#if RESIDUAL
  return x[i] + residual[i];
//#else
  return x[i];
//#end
}

// mean(x), 0 unless CENTRED, and 1 / √(mean((x − that)²) + ε) of the row that begins at item \`start\`.
fn statistics(start: u32, thread: u32) -> vec2f {
  var mean = 0.0;
//#if CENTRED
  var sum = 0.0;
  for (var i = thread; i < u.width; i += 256u) { sum += along(item(start + i), Item(1)); }
  mean = sumOfGroup(sum, thread) / u.size;
//#end
  var squares = 0.0;
  for (var i = thread; i < u.width; i += 256u) {
    let centred = item(start + i) - mean;
    squares += along(centred, centred);
  }
  return vec2f(mean, inverseSqrt(sumOfGroup(squares, thread) / u.size + u.epsilon));
}
`;

export const norm_weight_grad = `// parts[part] = Σ dy · x̂ over the u.part rows of a part, a workgroup's; to be added up by sum_parts.
@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let part = group.x + group.y * groups.x;
  let first = part * u.part;
  if (first >= u.rows) { return; }
  let end = min(u.rows, first + u.part);
  for (var row = first; row < end; row++) {
    let start = row * u.width;
    let ofRow = statistics(start, thread);
    // no thread reads what another one has written
    for (var i = thread; i < u.width; i += 256u) {
      let product = dy[start + i] * ((item(start + i) - ofRow.x) * ofRow.y);
      let to = part * u.width + i;
      if (row == first) { parts[to] = product; } else { parts[to] += product; }
    }
  }
}
`;

export const pack_columns = `// packed[i, x] = W[i, I[x]] − Σ_r A0[i, r] B0[r, I[x]]: the kept columns of the residual, [in, k]. TURNED: W is [out, in].
// HALF: W and the result are at half precision, two columns to a word, and a thread makes both.
fn residual(i: u32, column: u32) -> f32 {
//#if TURNED
  let row = column;
  let number = i;
//#else
  let row = i;
  let number = column;
//#end
//#if HALF
  let pair = decode(kernel[row * u.stride + number / 2u]);
  var value = select(pair.x, pair.y, number % 2u == 1u);
//#else
  var value = kernel[row * u.stride + number];
//#end
//#if FACTORS
  for (var r = 0u; r < u.rank; r++) {
    value -= frozenA[i * u.rank + r] * frozenB[r * u.out + column];
  }
//#end
  return value;
}

@compute @workgroup_size(64, 4)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.y;
  if (i >= u.inputs) { return; }
//#if HALF
  let x = 2u * id.x;
  if (x >= u.k) { return; }
  var high = 0.0;
  if (x + 1u < u.k) { high = residual(i, indices[x + 1u]); }
  packed[i * ((u.k + 1u) / 2u) + id.x] = encode(residual(i, indices[x]), high);
//#else
  if (id.x >= u.k) { return; }
  packed[i * u.k + id.x] = residual(i, indices[id.x]);
//#end
}
`;

export const pack_half = `// words[i, j] = numbers 2j and 2j + 1 of row i of x [rows, columns] at half precision; 0 beyond the row.
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let width = (u.columns + 1u) / 2u;
  let at = id.x + id.y * groups.x * 64u;
  if (at >= u.rows * width) { return; }
  let column = at % width * 2u;
  let start = at / width * u.columns + column;
  var high = 0.0;
  if (column + 1u < u.columns) { high = x[start + 1u]; }
  words[at] = encode(x[start], high);
}
`;

export const random_uniform = `// The numbers 0 … size − 1 of one block of keys, from \`start\` on; see counter_hash.ts. With MASK what they decide: \`kept\` for
// those below \`keep\`, 0 for the others.

// A round of the network on (left, right).
fn turn(halves: vec2u, key: u32) -> vec2u {
  let difference = halves.y - key;
  return vec2u(halves.y, (halves.x + ((difference * difference) >> 5u)) & 4095u);
}

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 256u;
  if (i >= u.size) { return; }
  var halves = vec2u(i >> 12u, i & 4095u);
  halves = turn(halves, u.key0);
  halves = turn(halves, u.key1);
  halves = turn(halves, u.key2);
  halves = turn(halves, u.key3);
  halves = turn(halves, u.key4);
  let number = f32(halves.y * 4096u + halves.x) * 0x1p-24f;
//#if MASK
  values[u.start + i] = select(0.0, u.kept, number < u.keep);
//#else
  values[u.start + i] = number;
//#end
}
`;

export const reduce_group = `// Sum and maximum over the 256 threads of a workgroup, for each of them; to be called by all.
var<workgroup> reduced: array<f32, 256>;

fn sumOfGroup(value: f32, thread: u32) -> f32 {
  reduced[thread] = value;
  workgroupBarrier();
  for (var half = 128u; half > 0u; half /= 2u) {
    if (thread < half) { reduced[thread] += reduced[thread + half]; }
    workgroupBarrier();
  }
  let sum = reduced[0];
  workgroupBarrier();
  return sum;
}

fn maxOfGroup(value: f32, thread: u32) -> f32 {
  reduced[thread] = value;
  workgroupBarrier();
  for (var half = 128u; half > 0u; half /= 2u) {
    if (thread < half) { reduced[thread] = max(reduced[thread], reduced[thread + half]); }
    workgroupBarrier();
  }
  let top = reduced[0];
  workgroupBarrier();
  return top;
}
`;

export const rotary_embedding = `// Turns the pairs of x by the angles of their token: u.pairs of these a head, u.heads heads a token. A thread has one pair, or
// four where the buffers are of vec4s: with INTERLEAVED these lie in two neighbours, which REGROUP makes two of one kind each.
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= u.size) { return; }
  let head = i / u.pairs;
  let pair = i % u.pairs;
  let angle = head / u.heads % u.t * u.pairs + pair;
//#if INTERLEAVED
  let first = 2u * i;
  let second = first + 1u;
//#else
  let first = 2u * head * u.pairs + pair;
  let second = first + u.pairs;
//#end
  var a = x[first];
  var b = x[second];
//#if REGROUP
  let before = a;
  a = vec4f(before.xz, b.xz);
  b = vec4f(before.yw, b.yw);
//#end
  let c = cosines[angle];
  let s = u.sign * sines[angle];
  let turnedA = a * c - b * s;
  let turnedB = b * c + a * s;
//#if REGROUP
  y[first] = vec4f(turnedA.x, turnedB.x, turnedA.y, turnedB.y);
  y[second] = vec4f(turnedA.z, turnedB.z, turnedA.w, turnedB.w);
//#else
  y[first] = turnedA;
  y[second] = turnedB;
//#end
}
`;

export const row_squares = `// squares[row] = Σ of the squares of the numbers of the row, x being \`size\` numbers in rows of \`width\`, the last one maybe
// shorter; √ of it with ROOT. A workgroup a row.
@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.x + group.y * groups.x;
  if (row >= u.rows) { return; }
  let end = min(u.size, (row + 1u) * u.width);
  var sum = 0.0;
  for (var i = row * u.width + thread; i < end; i += 256u) {
//#if VEC4
    sum += dot(x[i], x[i]);
//#else
    sum += x[i] * x[i];
//#end
  }
  let all = sumOfGroup(sum, thread);
//#if ROOT
  if (thread == 0u) { squares[row] = sqrt(all); }
//#else
  if (thread == 0u) { squares[row] = all; }
//#end
}
`;

export const sample_rows = `// Draws \`rows\` of \`size\` rows with probabilities p = min(1, c · norm), Σp = rows: see portable/sample_rows.ts. One workgroup.
//
// p is never stored. c is raised in four rounds until what is not capped makes up for what is; a row that is capped stays so.
// A thread then has a run of neighbours: their cumulative sum is that of the runs before plus that of its own so far, the same
// number for the last row of a run as for the start of the next, so that no point falls between two rows or into both.

const TINY = 1e-30;
const MOST = 1e30;

// the sum of p, and the number of rows drawn, before each run
var<workgroup> sums: array<f32, 257>;
var<workgroup> counts: array<u32, 257>;

// By its bits: a compiler may take it that every number is finite, and make min(p, 1), which is 1 for NaN, of a comparison.
fn isFinite(x: f32) -> bool { return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u; }

fn probability(i: u32, c: f32) -> f32 {
  let p = c * norms[i];
  return select(p, 1.0, p >= 1.0);
}

// Whether a point offset + j lies between the cumulative sums before and after a row.
fn isDrawn(before: f32, after: f32) -> bool { return ceil(after - u.offset) > ceil(before - u.offset); }

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) thread: u32) {
  var sum = 0.0;
  for (var i = thread; i < u.size; i += 256u) { sum += norms[i]; }
  let all = sumOfGroup(sum, thread);
  var c = f32(u.rows) / (all + TINY);
  for (var round = 0u; round < 4u; round++) {
    var free = 0.0;
    var ofFree = 0.0;
    for (var i = thread; i < u.size; i += 256u) {
      let p = probability(i, c);
      if (p < 1.0) {
        free += 1.0;
        ofFree += p;
      }
    }
    let left = sumOfGroup(free, thread) + f32(u.rows) - f32(u.size);
    // c · 0 is to be 0
    c = min(c * max(1.0, left / (sumOfGroup(ofFree, thread) + TINY)), MOST);
  }

  let run = (u.size + 255u) / 256u;
  let start = min(thread * run, u.size);
  let end = min(start + run, u.size);
  var own = 0.0;
  for (var i = start; i < end; i++) { own += probability(i, c); }
  sums[thread + 1u] = own;
  workgroupBarrier();
  if (thread == 0u) {
    sums[0] = 0.0;
    for (var t = 1u; t <= 256u; t++) { sums[t] += sums[t - 1u]; }
  }
  workgroupBarrier();
  var count = 0u;
  var before = sums[thread];
  own = 0.0;
  for (var i = start; i < end; i++) {
    own += probability(i, c);
    let after = sums[thread] + own;
    count += select(0u, 1u, isDrawn(before, after));
    before = after;
  }
  counts[thread + 1u] = count;
  workgroupBarrier();
  if (thread == 0u) {
    counts[0] = 0u;
    for (var t = 1u; t <= 256u; t++) { counts[t] += counts[t - 1u]; }
  }
  workgroupBarrier();

  if (!isFinite(all)) {
    // whatever rows are drawn: their weights tell
    for (var i = thread; i < u.rows; i += 256u) {
      indices[i] = i32(i);
      weights[i] = bitcast<f32>(u.rows | 0x7fc00000u); // NaN, which no constant may be
    }
    return;
  }
  // the drawn rows, and in places left empty the first ones not drawn, with weight 0
  var to = counts[thread];
  before = sums[thread];
  own = 0.0;
  for (var i = start; i < end; i++) {
    let p = probability(i, c);
    own += p;
    let after = sums[thread] + own;
    let drawn = isDrawn(before, after);
    before = after;
    let place = select(counts[256] + i - to, to, drawn);
    to += select(0u, 1u, drawn);
    if (place < u.rows) {
      indices[place] = i32(i);
      weights[place] = select(0.0, 1.0 / p, drawn);
    }
  }
}
`;

export const select_columns = `// The indices of the k largest of \`size\` scores, ascending; of equal ones the first. One workgroup.
//
// Radix select: four rounds find the k-th largest from its highest byte to its lowest, each counting how many of the numbers
// that agree so far have which next byte. Then each thread copies, of a run of neighbours, those above it and the first
// ones equal to it.

var<workgroup> counts: array<atomic<u32>, 256>;
var<workgroup> found: array<u32, 2>;
var<workgroup> above: array<u32, 257>;
var<workgroup> equal: array<u32, 257>;

// A number whose order as an integer is that of the score; NaN comes first, so that it is not lost.
fn order(i: u32) -> u32 {
  let bits = bitcast<u32>(scores[i]);
  if ((bits & 0x7fffffffu) > 0x7f800000u) { return 0xffffffffu; }
  return select(bits | 0x80000000u, ~bits, bits >= 0x80000000u);
}

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) thread: u32) {
  var prefix = 0u;
  var left = u.k;
  for (var round = 0u; round < 4u; round++) {
    let shift = 24u - 8u * round;
    atomicStore(&counts[thread], 0u);
    workgroupBarrier();
    for (var i = thread; i < u.size; i += 256u) {
      let key = order(i);
      if (round == 0u || (key >> (shift + 8u)) == prefix) { atomicAdd(&counts[(key >> shift) & 255u], 1u); }
    }
    workgroupBarrier();
    if (thread == 0u) {
      var byte = 255u;
      var before = 0u;
      loop {
        let here = atomicLoad(&counts[byte]);
        if (before + here >= left || byte == 0u) { break; }
        before += here;
        byte--;
      }
      found[0] = byte;
      found[1] = before;
    }
    workgroupBarrier();
    prefix = (prefix << 8u) | workgroupUniformLoad(&found[0]);
    left -= workgroupUniformLoad(&found[1]);
  }
  // prefix is the k-th largest now, and \`left\` of those equal to it are taken
  let run = (u.size + 255u) / 256u;
  let start = min(thread * run, u.size);
  let end = min(start + run, u.size);
  var more = 0u;
  var same = 0u;
  for (var i = start; i < end; i++) {
    let key = order(i);
    more += select(0u, 1u, key > prefix);
    same += select(0u, 1u, key == prefix);
  }
  above[thread + 1u] = more;
  equal[thread + 1u] = same;
  workgroupBarrier();
  if (thread == 0u) {
    above[0] = 0u;
    equal[0] = 0u;
    for (var t = 1u; t <= 256u; t++) {
      above[t] += above[t - 1u];
      equal[t] += equal[t - 1u];
    }
  }
  workgroupBarrier();
  var taken = equal[thread];
  var to = above[thread] + min(taken, left);
  for (var i = start; i < end; i++) {
    let key = order(i);
    if (key > prefix || (key == prefix && taken < left)) {
      indices[to] = i32(i);
      to++;
    }
    taken += select(0u, 1u, key == prefix);
  }
}
`;

export const skinny = `// C = scale · A · B where B has few columns (n ≤ 4 COLUMNS ≤ 32): A decides the time, and is read once. The depth is cut into parts,
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
`;

export const skinny_rows = `// C = scale · A · B where B has at most 16 columns, in one pass over A [m, depth]: a workgroup of 256 threads takes 8 rows of
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

// Of two rows a thread goes on with one, to which it adds what the thread across has of it: the one with the bit of \`mask\`
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
`;

export const sum_parts = `// out[i] = activation(Σ_part parts[part, i] + bias[i % n]), bias and activation where there are any; with ROOT √(Σ) ·
// factors[i], the score of column i.
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= u.size) { return; }
  var total = 0.0;
  for (var part = 0u; part < u.parts; part++) { total += parts[part * u.size + i]; }
//#if ROOT
//#if FACTORS
  out[i] = sqrt(total) * factors[i];
//#else
  out[i] = sqrt(total);
//#end
//#else
//#if BIAS
  total += bias[i % u.n];
//#end
  out[i] = activate(vec4f(total)).x;
//#end
}
`;

export const to_float = `// out = x as floats: tfjs casts int32 and bool to float32 without touching the buffer.
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64u;
  if (i < u.size) { out[i] = f32(x[i]); }
}
`;

export const unpack_half = `// The opposite of pack_half.
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let width = (u.columns + 1u) / 2u;
  let at = id.x + id.y * groups.x * 64u;
  if (at >= u.rows * width) { return; }
  let column = at % width * 2u;
  let start = at / width * u.columns + column;
  let pair = decode(words[at]);
  x[start] = pair.x;
  if (column + 1u < u.columns) { x[start + 1u] = pair.y; }
}
`;
