// Draws `rows` of `size` rows with probabilities p = min(1, c · norm), Σp = rows: see portable/sample_rows.ts. One workgroup.
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
