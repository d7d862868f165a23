// The indices of the k largest of `size` scores, ascending; of equal ones the first. One workgroup.
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
  // prefix is the k-th largest now, and `left` of those equal to it are taken
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
