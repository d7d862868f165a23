// The same for a matrix whose columns are chosen: column k is column indices[k] of the buffer NAME of single numbers. The four
// are SLICE / 4 columns apart: threads beside each other then read columns that are, and share what the cache fetches.
fn load_NAME(start: u32, column: u32, width: u32) -> vec4f {
  const APART = SLICE / 4u;
//#if WHOLE
  return vec4f(
    NAME[start + indices[column]],
    NAME[start + indices[column + APART]],
    NAME[start + indices[column + 2u * APART]],
    NAME[start + indices[column + 3u * APART]],
  );
//#else
  var v = vec4f(0);
  if (column < width) { v.x = NAME[start + indices[column]]; }
  if (column + APART < width) { v.y = NAME[start + indices[column + APART]]; }
  if (column + 2u * APART < width) { v.z = NAME[start + indices[column + 2u * APART]]; }
  if (column + 3u * APART < width) { v.w = NAME[start + indices[column + 3u * APART]]; }
  return v;
//#end
}
