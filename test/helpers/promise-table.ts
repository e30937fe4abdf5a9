import type { TestModule } from "vitest/node";

type Row = { tests: number; failed: number; skipped: number; readonly places: Set<string> };

const counts = { S: 39, W: 32 } as const;
const kindOf =
  /embedded, (?:batch|steps)|AGB (?:with|without) shell, (?:batch|steps)|(?:steps|batch)(?: with(?:out)? shell)?/;

/** Prints what `npm run test:promises` found: for each promise its tests, the kinds of session they ran on, the result. */
export default class PromiseTable {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const rows = new Map<string, Row>();
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        for (const name of promisesIn(test.fullName)) {
          const row = rows.get(name) ?? { tests: 0, failed: 0, skipped: 0, places: new Set<string>() };
          rows.set(name, row);
          row.tests += 1;
          if (state === "failed") row.failed += 1;
          if (state === "skipped" || state === "pending") row.skipped += 1;
          row.places.add(
            kindOf.exec(test.fullName)?.[0] ?? module.relativeModuleId.replace(/^test\/|\.test\.ts$/g, ""),
          );
        }
      }
    }
    const lines = Object.entries(counts).flatMap(([letter, count]) =>
      Array.from({ length: count }, (_, index) => lineOf(`${letter}${index + 1}`, rows.get(`${letter}${index + 1}`))),
    );
    process.stdout.write(`${lines.join("\n")}\n`);
  }
}

/** `S1`, `W1 to W3` and `W1, W10 to W13` of a test's name, each by itself. */
function promisesIn(name: string): ReadonlySet<string> {
  const found = new Set<string>();
  for (const [, letter = "", first, last] of name.matchAll(/\b([SW])(\d{1,2})\b(?: to [SW](\d{1,2})\b)?/g)) {
    for (let number = Number(first); number <= Number(last ?? first); number += 1) found.add(`${letter}${number}`);
  }
  return found;
}

function lineOf(name: string, row: Row | undefined): string {
  if (row === undefined) return `${name.padEnd(4)} no test of its own`;
  const result = row.failed > 0 ? `${row.failed} FAILED` : row.skipped === row.tests ? "skipped" : "held";
  return `${name.padEnd(4)} ${result.padEnd(9)} ${String(row.tests).padStart(3)} tests  ${[...row.places].toSorted().join("; ")}`;
}
