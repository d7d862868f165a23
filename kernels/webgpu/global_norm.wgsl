// norm = √Σ squares, scale = 1 if norm ≤ maxNorm, else maxNorm / norm. One workgroup.
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
