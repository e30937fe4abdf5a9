import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, readFileSync, realpathSync, renameSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { readSources } from "../../src/desired/read-sources.ts";
import { enterSourceDirectory, MovedSourceError, openSourceFile } from "../../src/desired/source-door.ts";
import { hasCode } from "../../src/errors.ts";
import type { Content } from "../../src/tree/content.ts";
import { layOut, manifestOf, temporaryDirectory } from "../helpers/workspace.ts";

const SECRET = "nobody asked for this";
/** Larger than what is kept in memory, and than what is read in one go. */
const LARGE = 200_000;

/** A source, and beside it a directory of the same names that nobody named. */
function place(): string {
  const directory = realpathSync(temporaryDirectory());
  layOut(join(directory, "source"), {
    "a/f": "mine",
    "a/deep/g": "mine",
    "a/large": "mine".repeat(LARGE / 4),
    "a/.gitignore": "none\n",
    "b/h": "mine",
  });
  layOut(join(directory, "secret"), {
    f: SECRET,
    "deep/g": SECRET,
    g: SECRET,
    large: SECRET.repeat(LARGE),
    ".gitignore": "*\n",
    hidden: SECRET,
    l: { link: SECRET },
  });
  return directory;
}

async function bytesOf(content: Content): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of content.open()) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

/** Puts a link where the directory is. */
function swap(directory: string, path: string, target: string): void {
  renameSync(join(directory, path), join(directory, "kept"));
  symlinkSync(target, join(directory, path));
}

describe.each([
  ["where the system says what is open", true],
  ["where only names can be looked at", false],
])("%s", (_name, told) => {
  it.skipIf(told && process.platform !== "linux")("nothing is opened through a link", () => {
    const directory = place();
    const source = join(directory, "source");
    swap(directory, "source/a", "../secret");
    for (const inner of ["a/f", "a/deep/g", "a/.gitignore"])
      expect(() => openSourceFile(join(source, inner), told), inner).toThrow(MovedSourceError);
    for (const inner of ["a", "a/deep"])
      expect(() => enterSourceDirectory(join(source, inner), told), inner).toThrow(MovedSourceError);
    symlinkSync("h", join(source, "b/link"));
    symlinkSync("loop", join(source, "b/loop"));
    for (const inner of ["b/link", "b/loop"])
      expect(() => openSourceFile(join(source, inner), told), inner).toThrow(MovedSourceError);
    expect(() => openSourceFile(join(source, "none"), told)).toThrow(expect.objectContaining({ code: "ENOENT" }));
    const descriptor = openSourceFile(join(source, "b/h"), told);
    expect(readFileSync(descriptor, "utf8")).toBe("mine");
    closeSync(descriptor);
  });

  it.skipIf(told && process.platform !== "linux")(
    "a directory that was entered gives nothing of what takes its name",
    () => {
      const directory = place();
      const door = enterSourceDirectory(join(directory, "source/a"), told);
      onTestFinished(() => door.close());
      swap(directory, "source/a", "../secret");
      const answers = [() => door.list().map(({ name }) => name), () => door.readLink("l"), () => door.readText("f")];
      const found = answers.map((answer) => {
        try {
          return String(answer());
        } catch {
          return "refused";
        }
      });
      expect(found.join()).not.toContain("hidden");
      expect(found.slice(1)).toEqual(["refused", "refused"]);
    },
  );
});

/** Exchanges a directory for a link and back, staying a while each time; prints a line once it is at work. */
const SWAPPER = `
const fs = require("node:fs");
const place = process.argv[1];
const [link, kept] = ["link", "kept"].map((name) => require("node:path").join(place, "../..", name));
fs.symlinkSync("../secret", link);
console.log("started");
const stay = (us) => { for (const end = performance.now() + us / 1000; performance.now() < end; ); };
for (const until = Date.now() + 30000; Date.now() < until; ) {
  fs.renameSync(place, kept); fs.renameSync(link, place);
  stay(Math.random() * 400);
  fs.renameSync(place, link); fs.renameSync(kept, place);
  stay(Math.random() * 400);
}`;

describe("against somebody who exchanges directories for links all the time", () => {
  it("nothing from outside the source is listed, read, or sent later (S26)", { timeout: 30_000 }, async () => {
    const directory = place();
    const swapper = spawn(process.execPath, ["-e", SWAPPER, join(directory, "source/a")], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    onTestFinished(async () => {
      swapper.kill("SIGKILL");
      await once(swapper, "close");
    });
    await once(swapper.stdout, "data");
    const manifest = manifestOf(directory, "trees: [{ source: source, path: t, gitignore: true }]\n");
    const { signal } = new AbortController();
    const seen = { sent: 0, refused: 0, outside: [] as string[] };
    const attempt = async (work: () => Promise<string>) => {
      try {
        const text = await work();
        seen.sent += 1;
        if (text.includes(SECRET) || text.includes("hidden")) seen.outside.push(text.slice(0, 100));
      } catch (error) {
        if (!hasCode(error, "SOURCE_CHANGED", "SOURCE_MISSING", "SOURCE_ESCAPES")) throw error;
        seen.refused += 1;
      }
    };
    const end = Date.now() + (process.env["CRASH_MATRIX"] === "full" ? 20_000 : 1200);
    while (Date.now() < end) {
      await attempt(async () => {
        const { tree, contents } = await readSources(manifest, { signal });
        for (const content of contents.values())
          for (let again = 0; again < 5; again += 1) await attempt(async () => await bytesOf(content));
        return [
          ...tree.keys(),
          ...[...tree.values()].map((entry) => (entry.kind === "link" ? entry.target : "")),
        ].join();
      });
    }
    expect(seen.outside).toEqual([]);
    expect(seen.sent).toBeGreaterThan(10);
    expect(seen.refused).toBeGreaterThan(0);
  });

  it.each([
    ["a file", "a/f", false],
    ["a template", "a/f", true],
    ["a large file", "a/large", false],
  ])("%s that was read is not sent from somewhere else", async (_name, inner, template) => {
    const directory = place();
    const manifest = manifestOf(directory, `files: [{ path: f, source: source/${inner}, template: ${template} }]\n`);
    const { contents } = await readSources(manifest, { signal: new AbortController().signal });
    swap(directory, "source/a", "../secret");
    for (const content of contents.values()) {
      const sent = await bytesOf(content).catch((error: unknown) => (hasCode(error, "SOURCE_CHANGED") ? "" : "failed"));
      expect(sent.replaceAll("mine", "")).toBe("");
    }
  });
});
