// out[i] = scale · Σ_part parts[part, i]; with ROOT √(Σ) · factors[i], the score of column i.
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= u.size) { return; }
  var total = 0.0;
  for (var part = 0u; part < u.parts; part++) { total += parts[part * u.size + i]; }
//#if ROOT
//#if FACTORS
  out[i] = sqrt(total) * factors[i];
//#else
  out[i] = sqrt(total);
//#end
//#else
  out[i] = u.scale * total;
//#end
}
