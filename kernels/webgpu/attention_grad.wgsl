// The gradient by q, k or v of causal attention, as FlashAttention-2 (arXiv 2307.08691) has it: a workgroup has 64 tokens of
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
