/** Rows as aligned text columns, numbers to the right; the first row is the heading. */
export function formatTable(rows: readonly (readonly (string | number)[])[]): string {
  const cells = rows.map((row) =>
    row.map((cell) => (typeof cell === 'number' ? cell.toLocaleString('en-US') : cell)),
  );
  const widths = cells[0]!.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)));
  const align = (cell: string, row: number, column: number) =>
    typeof rows[row]![column] === 'number' || (row === 0 && typeof rows[1]?.[column] === 'number')
      ? cell.padStart(widths[column]!)
      : cell.padEnd(widths[column]!);
  return cells
    .map((row, i) =>
      row
        .map((cell, j) => align(cell, i, j))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
