import type {LoRAMatMulAttrs, LoRAMatMulInputs} from './kernel_names.ts';

/**
 * The operands of LoRAMatMul by name; the tape knows them by position, since it takes no absent ones. What the tape saved has
 * loraX, s xA, behind them.
 */
export function namedOperands([x, kernel, ...rest]: LoRAMatMulInputs, attrs: LoRAMatMulAttrs) {
  const bias = attrs.hasBias ? rest.shift() : undefined;
  const [loraA, loraB, loraX] = attrs.hasAdapter ? rest : [];
  return {x: x!, kernel: kernel!, bias, loraA, loraB, loraX};
}
