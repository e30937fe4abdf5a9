import { execFileSync } from "node:child_process";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { prunesOf } from "../../src/engine/find-records.ts";
import { parseReport } from "../../src/engine/shell/parse-report.ts";
import { parseScan } from "../../src/engine/shell/parse-scan.ts";
import { AgbSyncError } from "../../src/errors.ts";
import { interpolate } from "../../src/manifest/interpolate.ts";
import { parseTicket } from "../../src/state/lock.ts";
import { errorOf, parseEnvelope } from "../../src/transport/agb/parse-envelope.ts";
import { parseStat } from "../../src/transport/agb/shell-files.ts";
import { runShell } from "../../src/transport/agb/shell-tool.ts";
import { serialisedBytes, textChunks } from "../../src/transport/agb/text-chunks.ts";
import { parseFileInfo, parseListing } from "../../src/transport/agb/tool-files.ts";
import { runMarked } from "../../src/transport/run-marked.ts";
import { quoteForShell } from "../../src/transport/shell-quote.ts";
import { emptyBase, formatBase, parseBase } from "../../src/tree/base.ts";

const runs = { numRuns: Number(process.env["FUZZ_RUNS"] ?? 300) };
const signal = new AbortController().signal;
const hostile = fc.oneof(
  fc.string(),
  fc.string({ unit: "binary" }),
  fc.json(),
  fc.constantFrom("[DIR] ", "[FILE] a\n[DIR] b", "size: 1\nisDirectory: false", "m 81a4 3", "tree\n", "done\nend"),
  fc
    .array(
      fc.constantFrom("[DIR] x", "[FILE] y", "", "\t./a//f 644 1 1.0 1.0 5", "size: -1", "done", "end", "${", "}"),
      { maxLength: 6 },
    )
    .map((lines) => lines.join("\n")),
);

/** Only our own errors may come out. */
async function onlyOurs(work: () => unknown): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof AgbSyncError)) throw error;
  }
}

describe("answers of a service that sends anything", () => {
  it.each<readonly [string, (text: string) => unknown]>([
    ["a listing", (text) => parseListing(text)],
    ["file details", (text) => parseFileInfo(text)],
    ["a stat line", (text) => parseStat(text)],
    ["an envelope", (text) => errorOf(parseEnvelope(200, text), "try")],
    ["a command's result", (text) => runShell({ call: async () => text }, { command: "x", timeoutMs: 1 }, signal)],
    [
      "a marked answer",
      (text) =>
        runMarked(
          async () => ({ stdout: text, stderr: text, exitCode: 0 }),
          { command: "x", timeoutMs: 1 },
          "try",
          signal,
        ),
    ],
    ["a scan", (text) => parseScan(text)],
    ["a packed scan", (text) => parseScan(`tree\n${gzipSync(text).toString("base64")}`)],
    ["a report", (text) => parseReport(text)],
    ["a base", (text) => parseBase(text, "s", "/w")],
    ["a ticket", (text) => parseTicket(text)],
    ["an ignore pattern", (text) => prunesOf(text.split("\n"))],
  ])("%s", async (_what, parse) => {
    const property = fc.asyncProperty(hostile, async (text) => await onlyOurs(() => parse(text)));
    await expect(fc.assert(property, runs)).resolves.toBeUndefined();
  });

  it("interpolates any text or says why not", async () => {
    const variables = { vars: { x: "1" }, env: {} };
    const property = fc.asyncProperty(hostile, async (text) => await onlyOurs(() => interpolate(text, variables)));
    await expect(fc.assert(property, runs)).resolves.toBeUndefined();
  });

  it("reads back every base it writes", () => {
    const property = fc.property(fc.string(), fc.string(), (sessionId, root) => {
      const base = emptyBase(sessionId, root);
      expect(parseBase(formatBase(base), sessionId, root)).toEqual(base);
    });
    expect(() => fc.assert(property, runs)).not.toThrow();
  });
});

describe("text on its way", () => {
  it("is cut at characters, below the cap, and never changed", () => {
    const property = fc.property(
      fc.string({ unit: "binary", maxLength: 400 }),
      fc.integer({ min: 12, max: 90 }),
      (text, budget) => {
        const chunks = [...textChunks(text, budget)];
        expect(chunks.join("")).toBe(text);
        for (const chunk of chunks) {
          expect(chunk.isWellFormed() || !text.isWellFormed()).toBe(true);
          expect(serialisedBytes(chunk)).toBeLessThanOrEqual(budget);
        }
      },
    );
    expect(() => fc.assert(property, runs)).not.toThrow();
  });

  it("means itself as a word of a real shell (S27)", () => {
    const words = fc.array(
      fc.string({ unit: "grapheme", maxLength: 30 }).filter((text) => !text.includes("\0")),
      { minLength: 1, maxLength: 60 },
    );
    const special = fc.constantFrom(
      "$(touch x)",
      "`id`",
      "'",
      '"',
      "\\",
      "\n",
      "*",
      "-rf",
      "~",
      "!",
      "a'b\"c",
      " ",
      "",
    );
    const property = fc.property(
      fc.array(
        fc.oneof(
          words.map((list) => list.join("")),
          special,
        ),
        { minLength: 1, maxLength: 20 },
      ),
      (list) => {
        const output = execFileSync("sh", ["-c", `printf '%s\\0' ${list.map(quoteForShell).join(" ")}`]).toString(
          "utf8",
        );
        expect(output.split("\0").slice(0, -1)).toEqual(list);
      },
    );
    expect(() => fc.assert(property, { numRuns: Math.min(60, runs.numRuns) })).not.toThrow();
  });
});
