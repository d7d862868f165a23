// y = x̂ · weight + bias of each row, bias with BIAS. With RESIDUAL the row is x + residual, and is stored too. A workgroup a
// row.
@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.x + group.y * groups.x;
  if (row >= u.rows) { return; }
  let start = row * u.width;
  let ofRow = statistics(start, thread);
  for (var i = thread; i < u.width; i += 256u) {
    let value = item(start + i);
    let normed = (value - ofRow.x) * ofRow.y;
//#if BIAS
    y[start + i] = normed * weight[i] + bias[i];
//#else
    y[start + i] = normed * weight[i];
//#end
//#if RESIDUAL
    sum[start + i] = value;
//#end
  }
}
