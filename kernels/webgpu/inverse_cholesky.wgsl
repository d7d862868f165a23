// L⁻¹ of G = LLᵀ, both [size, size]: see portable/inverse_cholesky.ts. One workgroup; a thread has every 64th row.
//
// Elimination in place: after column k, the columns up to k of `inverse` hold rows of L⁻¹, as far as they are known, and the
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
