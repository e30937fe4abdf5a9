/** The median of one contender in one scenario. */
export type Row = {
  readonly tree: string;
  readonly latencyMs: number;
  readonly scenario: string;
  readonly contender: string;
  readonly ms: number;
  readonly requests: number;
  readonly bytes: number;
};

const keyOf = ({ tree, latencyMs, scenario }: Row) => `${tree}, ${latencyMs} ms, ${scenario}`;

function groupsOf(rows: readonly Row[]): ReadonlyMap<string, readonly Row[]> {
  const groups = new Map<string, Row[]>();
  for (const row of rows) groups.set(keyOf(row), [...(groups.get(keyOf(row)) ?? []), row]);
  return groups;
}

/** A table in Markdown: medians, and the ratio to the first contender of the same group. */
export function tableOf(rows: readonly Row[]): string {
  const lines = [
    "| tree, round trip, scenario | contender | median | ratio | requests | MB |",
    "|---|---|---:|---:|---:|---:|",
  ];
  for (const [key, group] of groupsOf(rows)) {
    const own = group[0]?.ms ?? 1;
    for (const { contender, ms, requests, bytes } of group) {
      const size = bytes === 0 ? "" : (bytes / 1e6).toFixed(2);
      lines.push(
        `| ${key} | ${contender} | ${Math.round(ms)} ms | ${(ms / own).toFixed(2)} | ${requests || ""} | ${size} |`,
      );
    }
  }
  return lines.join("\n");
}

/** Bars for every group, in one self-contained SVG. */
export function chartOf(rows: readonly Row[]): string {
  const parts: string[] = [];
  let y = 20;
  for (const [key, group] of groupsOf(rows)) {
    parts.push(`<text x="10" y="${y}" font-weight="bold">${key.replaceAll("&", "&amp;")}</text>`);
    y += 8;
    const longest = Math.max(...group.map(({ ms }) => ms));
    for (const { contender, ms } of group) {
      const width = Math.max(1, (ms / longest) * 420);
      const color = contender.startsWith("agb-sync") ? "#2b6cb0" : "#a0aec0";
      parts.push(`<rect x="170" y="${y}" width="${width.toFixed(1)}" height="12" fill="${color}"/>`);
      parts.push(`<text x="10" y="${y + 10}">${contender}</text>`);
      parts.push(`<text x="${(176 + width).toFixed(1)}" y="${y + 10}">${Math.round(ms)} ms</text>`);
      y += 16;
    }
    y += 22;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" width="700" height="${y}" font-family="sans-serif" font-size="11">\n<rect width="700" height="${y}" fill="white"/>\n${parts.join("\n")}\n</svg>\n`;
}
