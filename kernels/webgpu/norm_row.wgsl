// What the norms have in common: the statistics of a row of u.width items, vec4s with VEC4 and single numbers otherwise,
// whose workgroup of 256 threads reads it from memory once and from its cache afterwards.
//#if VEC4
alias Item = vec4f;

fn along(a: Item, b: Item) -> f32 { return dot(a, b); }
//#else
alias Item = f32;

fn along(a: Item, b: Item) -> f32 { return a * b; }
//#end

fn item(i: u32) -> Item {
//#if RESIDUAL
  return x[i] + residual[i];
//#else
  return x[i];
//#end
}

// mean(x), 0 unless CENTRED, and 1 / √(mean((x − that)²) + ε) of the row that begins at item `start`.
fn statistics(start: u32, thread: u32) -> vec2f {
  var mean = 0.0;
//#if CENTRED
  var sum = 0.0;
  for (var i = thread; i < u.width; i += 256u) { sum += along(item(start + i), Item(1)); }
  mean = sumOfGroup(sum, thread) / u.size;
//#end
  var squares = 0.0;
  for (var i = thread; i < u.width; i += 256u) {
    let centred = item(start + i) - mean;
    squares += along(centred, centred);
  }
  return vec2f(mean, inverseSqrt(sumOfGroup(squares, thread) / u.size + u.epsilon));
}
