import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { defineConfig } from "vitest/config";

const all = "test/**/*.test.ts";
/** Files in which a part of a long series is tried, or not every kind of session; see test/helpers/tries-all.ts. */
const longSeries = /tries-all\.ts|helpers\/kinds\.ts|FUZZ_RUNS/;
const hasLongSeries = (file: string) => file.endsWith(".test.ts") && longSeries.test(readFileSync(file, "utf8"));
const isExhaustive = process.env["EXHAUSTIVE"] === "1";

export default defineConfig({
  test: {
    include: isExhaustive ? readdirSync("test", { encoding: "utf8", recursive: true }).map((name) => join("test", name)).filter(hasLongSeries) : [all],
    env: isExhaustive ? { CRASH_MATRIX: "full", FUZZ_RUNS: process.env["FUZZ_RUNS"] ?? "3000" } : {},
    globalSetup: ["test/helpers/run-directory.ts"],
    testTimeout: isExhaustive ? 1_200_000 : 120_000,
    hookTimeout: 30_000,
    reporters: [["default", { summary: false }]],
    pool: "forks",
    maxWorkers: 2,
  },
});
