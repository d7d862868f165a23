// The opposite of pack_half.
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let width = (u.columns + 1u) / 2u;
  let at = id.x + id.y * groups.x * 64u;
  if (at >= u.rows * width) { return; }
  let column = at % width * 2u;
  let start = at / width * u.columns + column;
  let pair = decode(words[at]);
  x[start] = pair.x;
  if (column + 1u < u.columns) { x[start + 1u] = pair.y; }
}
