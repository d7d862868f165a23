// parts[part, j] = Σ over the rows i of the part of dy[i, j]²: 64 columns and 4 rows at a time for a workgroup.
var<workgroup> sums: array<f32, 256>;

@compute @workgroup_size(64, 4)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) id: vec3u) {
  let j = group.x * 64u + id.x;
  var total = 0.0;
  if (j < u.n) {
    let end = min(u.m, (group.y + 1u) * u.part);
    for (var i = group.y * u.part + id.y; i < end; i += 4u) {
      let value = dy[i * u.n + j];
      total += value * value;
    }
  }
  sums[id.y * 64u + id.x] = total;
  workgroupBarrier();
  if (id.y == 0u && j < u.n) {
    parts[group.y * u.n + j] = sums[id.x] + sums[64u + id.x] + sums[128u + id.x] + sums[192u + id.x];
  }
}
