// words[i, j] = numbers 2j and 2j + 1 of row i of x [rows, columns] at half precision; 0 beyond the row.
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let width = (u.columns + 1u) / 2u;
  let at = id.x + id.y * groups.x * 64u;
  if (at >= u.rows * width) { return; }
  let column = at % width * 2u;
  let start = at / width * u.columns + column;
  var high = 0.0;
  if (column + 1u < u.columns) { high = x[start + 1u]; }
  words[at] = encode(x[start], high);
}
