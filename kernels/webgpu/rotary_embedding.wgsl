// Turns the pairs of x by the angles of their token: u.pairs of these a head, u.heads heads a token. A thread has one pair, or
// four where the buffers are of vec4s: with INTERLEAVED these lie in two neighbours, which REGROUP makes two of one kind each.
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= u.size) { return; }
  let head = i / u.pairs;
  let pair = i % u.pairs;
  let angle = head / u.heads % u.t * u.pairs + pair;
//#if INTERLEAVED
  let first = 2u * i;
  let second = first + 1u;
//#else
  let first = 2u * head * u.pairs + pair;
  let second = first + u.pairs;
//#end
  var a = x[first];
  var b = x[second];
//#if REGROUP
  let before = a;
  a = vec4f(before.xz, b.xz);
  b = vec4f(before.yw, b.yw);
//#end
  let c = cosines[angle];
  let s = u.sign * sines[angle];
  let turnedA = a * c - b * s;
  let turnedB = b * c + a * s;
//#if REGROUP
  y[first] = vec4f(turnedA.x, turnedB.x, turnedA.y, turnedB.y);
  y[second] = vec4f(turnedA.z, turnedB.z, turnedA.w, turnedB.w);
//#else
  y[first] = turnedA;
  y[second] = turnedB;
//#end
}
