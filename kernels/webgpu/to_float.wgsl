// out = x as floats: tfjs casts int32 and bool to float32 without touching the buffer.
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64u;
  if (i < u.size) { out[i] = f32(x[i]); }
}
