// A step of AdamW on numbers, or vec4s, i; u.decayed counts numbers.
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= u.size) { return; }
//#if SCALED
  let g = scale[0] * grads[i];
//#else
  let g = grads[i];
//#end
  let mean = m[i] + u.share1 * (g - m[i]);
  let square = u.beta2 * v[i] + u.share2 * (g * g);
//#if VEC4
  let kept = select(vec4f(1), vec4f(u.kept), 4u * i + vec4u(0, 1, 2, 3) < vec4u(u.decayed));
//#else
  let kept = select(1.0, u.kept, i < u.decayed);
//#end
  newParams[i] = kept * params[i] - u.rate * (mean / (u.rootFactor * sqrt(square) + u.epsilon));
  newM[i] = mean;
  newV[i] = square;
}
