// The numbers 0 … size − 1 of one block of keys, from `start` on; see counter_hash.ts. With MASK what they decide: `kept` for
// those below `keep`, 0 for the others.

// A round of the network on (left, right).
fn turn(halves: vec2u, key: u32) -> vec2u {
  let difference = halves.y - key;
  return vec2u(halves.y, (halves.x + ((difference * difference) >> 5u)) & 4095u);
}

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 256u;
  if (i >= u.size) { return; }
  var halves = vec2u(i >> 12u, i & 4095u);
  halves = turn(halves, u.key0);
  halves = turn(halves, u.key1);
  halves = turn(halves, u.key2);
  halves = turn(halves, u.key3);
  halves = turn(halves, u.key4);
  let number = f32(halves.y * 4096u + halves.x) * 0x1p-24f;
//#if MASK
  values[u.start + i] = select(0.0, u.kept, number < u.keep);
//#else
  values[u.start + i] = number;
//#end
}
