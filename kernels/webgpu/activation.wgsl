// The activation of a layer.
fn activate(x: vec4f) -> vec4f {
//#if RELU
  return max(x, vec4f(0));
//#else
//#if ELU
  return select(x, exp(x) - 1.0, x < vec4f(0));
//#else
  return x;
//#end
//#end
}
