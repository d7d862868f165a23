// The two numbers of a word at half precision: bfloat16 ones if BRAIN, else float16 ones.
fn decode(word: u32) -> vec2f {
//#if BRAIN
  return vec2f(bitcast<f32>(word << 16u), bitcast<f32>(word & 0xffff0000u));
//#else
  return unpack2x16float(word);
//#end
}
