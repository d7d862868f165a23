// dx = (g − mean(g) − x̂ · mean(g · x̂)) / σ + dSum of each row, g = dy · weight, 1 / σ the second of its statistics; mean(g)
// only if CENTRED, dSum with SUM. A workgroup a row.
@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.x + group.y * groups.x;
  if (row >= u.rows) { return; }
  let start = row * u.width;
  let ofRow = statistics(start, thread);
  var gradients = 0.0;
  var products = 0.0;
  for (var i = thread; i < u.width; i += 256u) {
    let g = dy[start + i] * weight[i];
    gradients += along(g, Item(1));
    products += along(g, (item(start + i) - ofRow.x) * ofRow.y);
  }
  var mean = 0.0;
//#if CENTRED
  mean = sumOfGroup(gradients, thread) / u.size;
//#end
  let share = sumOfGroup(products, thread) / u.size;
  for (var i = thread; i < u.width; i += 256u) {
    let normed = (item(start + i) - ofRow.x) * ofRow.y;
    let gradient = (dy[start + i] * weight[i] - mean - normed * share) * ofRow.y;
//#if SUM
    dx[start + i] = gradient + dSum[start + i];
//#else
    dx[start + i] = gradient;
//#end
  }
}
