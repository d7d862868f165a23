// rows[i] = table[ids[i]], a workgroup each.
@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.x + group.y * groups.x;
  if (row >= u.rows) { return; }
  let start = ids[row] * u.width;
  for (var j = thread; j < u.width; j += 64u) { rows[row * u.width + j] = table[start + j]; }
}
