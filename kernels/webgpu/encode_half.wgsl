// The word of two numbers at half precision, the nearest ones, ties to even: bfloat16 ones if BRAIN, else float16 ones.
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
