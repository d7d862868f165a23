// top = the largest of each row of logits, total = Σ exp(logits − top), losses = log total + top − logit of the label, 0 for
// a label of −1. A workgroup a row, which it reads once: each thread scales what it has summed whenever its largest grows.
const LOWEST = -0x1.fffffep127f;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.x + group.y * groups.x;
  if (row >= u.rows) { return; }
  let start = row * u.width;
  var largest = LOWEST;
  var sum = 0.0;
  for (var i = thread; i < u.width; i += 256u) {
    let x = logits[start + i];
//#if VEC4
    let larger = max(max(largest, max(x.x, x.y)), max(x.z, x.w));
    sum = sum * exp(largest - larger) + dot(exp(x - larger), vec4f(1));
//#else
    let larger = max(largest, x);
    sum = sum * exp(largest - larger) + exp(x - larger);
//#end
    largest = larger;
  }
  let ofRow = maxOfGroup(largest, thread);
  let powers = sumOfGroup(sum * exp(largest - ofRow), thread);
  if (thread > 0u) { return; }
  top[row] = ofRow;
  total[row] = powers;
  let label = u32(max(0, labels[row]));
//#if VEC4
  let chosen = logits[start + label / 4u][label % 4u];
//#else
  let chosen = logits[start + label];
//#end
  // top − chosen first: large logits then lose no digits
  losses[row] = select(ofRow - chosen + log(powers), 0.0, labels[row] < 0);
}
