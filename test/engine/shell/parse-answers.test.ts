import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { parseReport } from "../../../src/engine/shell/parse-report.ts";
import { parseScan } from "../../../src/engine/shell/parse-scan.ts";

const hex = "a".repeat(64);
const state = "0\0".repeat(2);
const records = ["./a//f 644 1 1.5 2.5 77", "\t./d//d 755", "./d/l//l ../a", "./i//i", "./s//s", "z//0"];
const digests = [`${hex}  ./a`];
const answer = (...parts: readonly string[]) => `tree\n${Buffer.from(parts.join("")).toString("base64")}`;
const ended = (...lines: readonly string[]) => lines.map((line) => `${line}\0`).join("");
const whole = answer(state, ended(...records, "#", ...digests));

describe("the answer to a scan", () => {
  it("that is whole gives what is there, packed or not", async () => {
    const packed = `tree\n${gzipSync(Buffer.from(state + ended(...records, "#", ...digests))).toString("base64")}`;
    for (const text of [whole, packed]) {
      const scan = await parseScan(text);
      expect(scan).toMatchObject({ kind: "tree", baseText: undefined, leftOut: ["i"], unnameable: 0, odd: [] });
      expect(scan.kind === "tree" && Object.fromEntries(scan.found)).toEqual({
        a: { entry: { kind: "file", mode: 0o644, sizeBytes: 1 }, isIndexed: false },
        d: { entry: { kind: "directory", mode: 0o755 }, isIndexed: true },
        "d/l": { entry: { kind: "link", target: "../a" }, isIndexed: false },
        s: { entry: { kind: "special" }, isIndexed: false },
      });
      expect(scan.kind === "tree" && Object.fromEntries(scan.digests)).toEqual({ a: `sha256:${hex}` });
    }
  });

  it.each<[string, string]>([
    ["of nothing", ""],
    ["of another word", "three\n"],
    ["without the end of its listing", answer(state, ended(...records))],
    ["cut between two records", answer(state, ended(...records.slice(0, 2)))],
    ["cut inside a record", answer(state, ended(...records).slice(0, -3))],
    ["cut inside a digest", answer(state, ended(...records, "#"), digests[0]?.slice(0, 30) ?? "")],
    ["with a digest that is none", answer(state, ended(...records, "#", `${"g".repeat(64)}  ./a`))],
    ["with a digest of no path", answer(state, ended(...records, "#", `${hex}   a`))],
    ["with a path that leads out", answer(state, ended("./../x//d 755", "z//0", "#"))],
    ["with an absolute path", answer(state, ended("/x//d 755", "z//0", "#"))],
    ["with a file that has no size", answer(state, ended("./a//f 644", "z//0", "#"))],
    ["with a directory that has one", answer(state, ended("./a//d 755 1 1 1 1", "z//0", "#"))],
    ["whose base is shorter than it says", answer("900\0{}", "0\0", ended("z//0", "#"))],
    ["whose base has no length", answer("x\0{}", "0\0", ended("z//0", "#"))],
    ["whose packing is damaged", `tree\n${gzipSync(Buffer.from(state)).subarray(0, 15).toString("base64")}`],
  ])("%s is none (S11, S39)", async (_what, text) => {
    await expect(parseScan(text)).rejects.toMatchObject({ code: "BAD_ANSWER" });
  });

  it.each<[string, readonly string[]]>([
    ["find says that it failed", [...records.slice(0, -1), "z//1"]],
    ["find does not say how it ended", records.slice(0, -1)],
  ])("is not whole where %s (S11)", async (_what, lines) => {
    await expect(parseScan(answer(state, ended(...lines, "#")))).rejects.toMatchObject({ code: "PERMISSION_DENIED" });
  });

  it("keeps the directories above a name that is no text", async () => {
    const bytes = Buffer.concat([
      Buffer.from(`${state}./d/`),
      Buffer.from([0xff]),
      Buffer.from("//f 644 1 1 1 1\0z//0\0#\0"),
    ]);
    const scan = await parseScan(`tree\n${bytes.toString("base64")}`);
    expect(scan).toMatchObject({ kind: "tree", unnameable: 1 });
  });
});

describe("the report of a commit", () => {
  it("that is whole says what became of each line of work", () => {
    const text =
      "partial\nbackup 20260102T030405Z-000001\naside base.json\n3 all failed no space left\n4 2 changed \n5 all skipped\nend";
    expect(parseReport(text)).toEqual({
      status: "partial",
      backup: "20260102T030405Z-000001",
      aside: ["base.json"],
      faults: [
        { op: 3, position: "all", code: "failed", text: "no space left" },
        { op: 4, position: 2, code: "changed", text: "" },
        { op: 5, position: "all", code: "skipped", text: "" },
      ],
    });
    expect(parseReport("died\nKilled\nend")).toMatchObject({ status: "died", faults: [{ text: "Killed" }] });
  });

  it.each<[string, string]>([
    ["of nothing", ""],
    ["without its end", "done"],
    ["that is cut inside a line", "partial\n3 all failed no sp"],
    ["that ends with something else", "done\nend\nmore"],
    ["of a word that nobody knows", "perhaps\nend"],
    ["with a fault of no kind", "partial\n3 all wrong x\nend"],
    ["with a fault of no line", "partial\nall failed\nend"],
  ])("%s is none (S39)", (_what, text) => {
    expect(() => parseReport(text)).toThrow(expect.objectContaining({ code: "BAD_ANSWER" }));
  });
});
