// How the kernels of attention read NAME: rows of u.c numbers of one head, that of token 0 beginning at number `start`,
// `stride` numbers apart. A token beyond the last is the last.
fn row_NAME(start: u32, stride: u32, token: u32, column: u32) -> vec4f {
  return load_NAME(start + min(token, u.t - 1u) * stride, column, u.c);
}

// One thread's block of the slice that is numbers k … k + 15 of the 4 · width tokens from `first` on: see putLeft.
fn read_NAME(start: u32, stride: u32, first: u32, width: u32, k: u32, thread: u32) -> mat4x4f {
  if (thread >= 4u * width) { return mat4x4f(); }
  let token = first + thread / 4u * 4u;
  let column = k + thread % 4u * 4u;
  return mat4x4f(
    row_NAME(start, stride, token, column),
    row_NAME(start, stride, token + 1u, column),
    row_NAME(start, stride, token + 2u, column),
    row_NAME(start, stride, token + 3u, column),
  );
}

// Writes to the right the slice whose depth is the 16 tokens from `first` on, and whose columns are the numbers of the head.
fn put_NAME(start: u32, stride: u32, first: u32, thread: u32) {
  let i = thread / (2u * ACROSS);
  let block = thread % (2u * ACROSS);
  let half = block / ACROSS;
  let place = block % ACROSS;
  let a = row_NAME(start, stride, first + i, 4u * block);
  let b = row_NAME(start, stride, first + i + 4u, 4u * block);
  let c = row_NAME(start, stride, first + i + 8u, 4u * block);
  let d = row_NAME(start, stride, first + i + 12u, 4u * block);
  rightSlice[0][i][half][place] = a;
  rightSlice[1][i][half][turn(place, 1u)] = b;
  rightSlice[2][i][half][turn(place, 2u)] = c;
  rightSlice[3][i][half][turn(place, 3u)] = d;
}
