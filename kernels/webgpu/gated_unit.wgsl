// y = x · σ(u(x)) · up for x = gate, u(x) = x, or LINEAR · x + CUBIC · x³ with GELU; with GRAD its gradients for dy.
const LINEAR = 1.5957691216057308; // √(8/π)
const CUBIC = 0.044715 * LINEAR;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= u.size) { return; }
  let x = gate[i];
//#if GELU
  let argument = x * (LINEAR + CUBIC * x * x);
//#else
  let argument = x;
//#end
  let sigmoid = 1.0 / (1.0 + exp(-argument));
  let activated = x * sigmoid;
//#if GRAD
  var curved = activated - activated * sigmoid;
//#if GELU
  curved *= LINEAR + 3.0 * CUBIC * x * x;
//#end
  dGate[i] = dy[i] * up[i] * (sigmoid + curved);
  dUp[i] = dy[i] * activated;
//#else
  y[i] = activated * up[i];
//#end
}
