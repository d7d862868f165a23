// The same for a matrix whose columns are chosen: column k is column indices[k] of the buffer NAME of single numbers.
fn load_NAME(start: u32, column: u32, width: u32) -> vec4f {
//#if WHOLE
  return vec4f(
    NAME[start + indices[column]],
    NAME[start + indices[column + 1u]],
    NAME[start + indices[column + 2u]],
    NAME[start + indices[column + 3u]],
  );
//#else
  var v = vec4f(0);
  if (column < width) { v.x = NAME[start + indices[column]]; }
  if (column + 1u < width) { v.y = NAME[start + indices[column + 1u]]; }
  if (column + 2u < width) { v.z = NAME[start + indices[column + 2u]]; }
  if (column + 3u < width) { v.w = NAME[start + indices[column + 3u]]; }
  return v;
//#end
}
