// squares[row] = Σ of the squares of the numbers of the row, x being `size` numbers in rows of `width`, the last one maybe
// shorter; √ of it with ROOT. A workgroup a row.
@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.x + group.y * groups.x;
  if (row >= u.rows) { return; }
  let end = min(u.size, (row + 1u) * u.width);
  var sum = 0.0;
  for (var i = row * u.width + thread; i < end; i += 256u) {
//#if VEC4
    sum += dot(x[i], x[i]);
//#else
    sum += x[i] * x[i];
//#end
  }
  let all = sumOfGroup(sum, thread);
//#if ROOT
  if (thread == 0u) { squares[row] = sqrt(all); }
//#else
  if (thread == 0u) { squares[row] = all; }
//#end
}
