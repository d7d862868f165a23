// packed[i, x] = W[i, I[x]] − Σ_r A0[i, r] B0[r, I[x]]: the kept columns of the residual, [in, k]. TURNED: W is [out, in].
@compute @workgroup_size(64, 4)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let x = id.x;
  let i = id.y;
  if (x >= u.k || i >= u.inputs) { return; }
  let column = indices[x];
//#if TURNED
  var value = kernel[column * u.inputs + i];
//#else
  var value = kernel[i * u.out + column];
//#end
//#if FACTORS
  for (var r = 0u; r < u.rank; r++) {
    value -= frozenA[i * u.rank + r] * frozenB[r * u.out + column];
  }
//#end
  packed[i * u.k + x] = value;
}
