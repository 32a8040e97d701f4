/** How many tiles stand in each row, so that the grid is always full: 1, 2, 3–4, 5–6, 7–9. */
export function rowsFor(tiles: number, portrait: boolean): number[] {
  const landscapeRows = [[1], [2], [2, 1], [2, 2], [3, 2], [3, 3], [2, 3, 2], [3, 2, 3], [3, 3, 3]];
  const portraitRows = [
    [1],
    [1, 1],
    [1, 2],
    [2, 2],
    [1, 2, 2],
    [2, 2, 2],
    [2, 3, 2],
    [2, 2, 2, 2],
    [3, 3, 3],
  ];
  const table = portrait ? portraitRows : landscapeRows;
  return table[Math.min(Math.max(tiles, 1), 9) - 1] ?? [1];
}

/** The column span of each tile on a grid of six columns, in order. */
export function spansFor(tiles: number, portrait: boolean): number[] {
  return rowsFor(tiles, portrait).flatMap((inRow) =>
    Array.from({ length: inRow }, () => 6 / inRow),
  );
}

export const MAX_TILES = 9;
