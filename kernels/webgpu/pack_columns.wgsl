// packed[i, x] = W[i, I[x]] − Σ_r A0[i, r] B0[r, I[x]]: the kept columns of the residual, [in, k]. TURNED: W is [out, in].
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
