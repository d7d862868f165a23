// out[i] = activation(Σ_part parts[part, i] + bias[i % n]), bias and activation where there are any; with ROOT √(Σ) ·
// factors[i], the score of column i.
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
//#if BIAS
  total += bias[i % u.n];
//#end
  out[i] = activate(vec4f(total)).x;
//#end
}
