// rows[i] = table[ids[i]], a workgroup each. HALF: the table is at half precision, two numbers to a word; u.width is that of the
// table, u.columns that of the result.
@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.x + group.y * groups.x;
  if (row >= u.rows) { return; }
  let start = ids[row] * u.width;
  for (var j = thread; j < u.width; j += 64u) {
//#if HALF
    let pair = decode(table[start + j]);
    let to = row * u.columns + 2u * j;
    rows[to] = pair.x;
    if (2u * j + 1u < u.columns) { rows[to + 1u] = pair.y; }
//#else
    rows[row * u.width + j] = table[start + j];
//#end
  }
}
