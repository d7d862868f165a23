// dTable[id] = Σ of the rows of dy whose id it is, in their order. A workgroup for each id and 256 columns, or vec4s of them:
// its threads look for the id together, and then each sums a column.
var<workgroup> found: array<atomic<u32>, 8>;

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let id = group.x + group.y * groups.x;
  if (id >= u.classes) { return; }
  let column = group.z * 256u + thread;
//#if VEC4
  var sum = vec4f(0);
//#else
  var sum = 0.0;
//#end
  for (var first = 0u; first < u.rows; first += 256u) {
    if (thread < 8u) { atomicStore(&found[thread], 0u); }
    workgroupBarrier();
    if (first + thread < u.rows && ids[first + thread] == id) {
      atomicOr(&found[thread / 32u], 1u << (thread % 32u));
    }
    workgroupBarrier();
    for (var word = 0u; word < 8u && column < u.width; word++) {
      for (var bits = atomicLoad(&found[word]); bits != 0u; bits &= bits - 1u) {
        sum += dy[(first + word * 32u + countTrailingZeros(bits)) * u.width + column];
      }
    }
    workgroupBarrier();
  }
  if (column < u.width) { dTable[id * u.width + column] = sum; }
}
