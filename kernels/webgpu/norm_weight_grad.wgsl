// parts[part] = Σ dy · x̂ over the u.part rows of a part, a workgroup's; to be added up by sum_parts.
@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let part = group.x + group.y * groups.x;
  let first = part * u.part;
  if (first >= u.rows) { return; }
  let end = min(u.rows, first + u.part);
  for (var row = first; row < end; row++) {
    let start = row * u.width;
    let ofRow = statistics(start, thread);
    // no thread reads what another one has written
    for (var i = thread; i < u.width; i += 256u) {
      let product = dy[start + i] * ((item(start + i) - ofRow.x) * ofRow.y);
      let to = part * u.width + i;
      if (row == first) { parts[to] = product; } else { parts[to] += product; }
    }
  }
}
