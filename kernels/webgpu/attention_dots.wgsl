// dots[b, h, t] = Σ dy · y of the head h of token t, both [b, t, heads, c]: 8 threads a head, which the workgroup has 32 of.
var<workgroup> sums: array<f32, 256>;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = (group.x + group.y * groups.x) * 32u + thread / 8u;
  var sum = 0.0;
  if (i < u.size) {
    for (var x = thread % 8u; x < u.width; x += 8u) {
//#if VEC4
      sum += dot(dy[i * u.width + x], y[i * u.width + x]);
//#else
      sum += dy[i * u.width + x] * y[i * u.width + x];
//#end
    }
  }
  sums[thread] = sum;
  workgroupBarrier();
  if (thread % 8u > 0u || i >= u.size) { return; }
  var total = 0.0;
  for (var x = 0u; x < 8u; x++) { total += sums[thread + x]; }
  let token = i / u.heads;
  dots[(token / u.t * u.heads + i % u.heads) * u.t + token % u.t] = total;
}
