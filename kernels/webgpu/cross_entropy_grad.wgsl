// gradient = scale · (exp(logits − top) / total − 1 at the label), a row of 0 for a label of −1. A workgroup a row.
@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.x + group.y * groups.x;
  if (row >= u.rows) { return; }
  let start = row * u.width;
  let counts = labels[row] >= 0;
  let label = u32(max(0, labels[row]));
  let largest = top[row];
  let factor = scale[0] / total[row];
  for (var i = thread; i < u.width; i += 256u) {
    var slope = factor * exp(logits[start + i] - largest);
//#if VEC4
    if (i == label / 4u) { slope[label % 4u] -= scale[0]; }
    gradient[start + i] = select(vec4f(0), slope, counts);
//#else
    if (i == label) { slope -= scale[0]; }
    gradient[start + i] = select(0.0, slope, counts);
//#end
  }
}
