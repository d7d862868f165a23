// counted = labels, −1 for those that do not count; scale = 1 / max(1, labels that count). One workgroup.
@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) thread: u32) {
  var count = 0.0;
  for (var i = thread; i < u.size; i += 256u) {
    let label = labels[i];
    let counts = label >= 0 && label < i32(u.classes) && label != bitcast<i32>(u.ignored);
    counted[i] = select(-1, label, counts);
    count += select(0.0, 1.0, counts);
  }
  let total = sumOfGroup(count, thread);
  if (thread == 0u) { scale[0] = 1.0 / max(1.0, total); }
}
