// The same for a matrix at half precision, two numbers to a word of the buffer NAME, of vec2s of words if VEC4. Rows are an
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
