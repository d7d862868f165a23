// dTable[id] += Σ of the rows of dy whose id it is, in their order; dTable is zero before. A workgroup for each row and 256
// columns, or vec4s of them: its threads look for the row's id among all rows together, and if none before it has that id,
// each sums a column.
var<workgroup> found: array<atomic<u32>, 8>;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.x + group.y * groups.x;
  if (row >= u.rows) { return; }
  let id = ids[row];
  if (id >= u.classes) { return; }
  let column = group.z * 256u + thread;
  var isFirst = true;
//#if VEC4
  var sum = vec4f(0);
//#else
  var sum = 0.0;
//#end
  for (var start = 0u; start < u.rows; start += 256u) {
    if (thread < 8u) { atomicStore(&found[thread], 0u); }
    workgroupBarrier();
    if (start + thread < u.rows && ids[start + thread] == id) {
      atomicOr(&found[thread / 32u], 1u << (thread % 32u));
    }
    workgroupBarrier();
    for (var word = 0u; word < 8u && isFirst; word++) {
      for (var bits = atomicLoad(&found[word]); bits != 0u && isFirst; bits &= bits - 1u) {
        let other = start + word * 32u + countTrailingZeros(bits);
        isFirst = other >= row;
        if (isFirst && column < u.width) { sum += dy[other * u.width + column]; }
      }
    }
    workgroupBarrier();
  }
  if (isFirst && column < u.width) { dTable[id * u.width + column] = sum; }
}
