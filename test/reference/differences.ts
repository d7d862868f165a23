/**
 * The gradients of Σ f·dy with respect to every input of f, by central differences.
 * @param f In float64.
 */
export function differences(
  f: (...inputs: Float64Array[]) => Float64Array,
  inputs: readonly ArrayLike<number>[],
  dy: ArrayLike<number>,
  step = 1e-5,
): Float64Array[] {
  const moved = inputs.map((input) => Float64Array.from(input));
  const loss = () => f(...moved).reduce((total, value, i) => total + value * dy[i]!, 0);
  return moved.map((input) =>
    input.map((value, i) => {
      input[i] = value + step;
      const ahead = loss();
      input[i] = value - step;
      const slope = (ahead - loss()) / (2 * step);
      input[i] = value;
      return slope;
    }),
  );
}
