import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { connect } from "../../../src/connect.ts";
import { FindListing } from "../../../src/engine/embedded/find-listing.ts";
import type { ScanRequest } from "../../../src/engine/engine.ts";
import { ignoreMatcher } from "../../../src/manifest/ignore-matcher.ts";
import { EmbeddedTransport } from "../../../src/transport/embedded/embedded-transport.ts";
import { temporaryDirectory } from "../../helpers/workspace.ts";
import { largeSession } from "./large-session.ts";

const { signal } = new AbortController();
const ignorePatterns = ["node_modules/", "*.log", "/only/here"];

/** A large session, to be changed by somebody. */
async function prepare() {
  const { root, open, applyOnce } = largeSession();
  await applyOnce();
  const { batch } = (await open()).openWorkspace("/tmp/workspace");
  if (batch?.beginScan === undefined) throw new Error("an embedded session begins scans");
  return { root, batch, begin: batch.beginScan.bind(batch) };
}

function requestFor(patterns: readonly string[], more: Partial<ScanRequest> = {}): ScanRequest {
  return {
    isIgnored: ignoreMatcher(patterns),
    ignorePatterns: patterns,
    expected: undefined,
    wanted: new Map(),
    needsUnmanaged: true,
    checksum: false,
    ...more,
  };
}

/** What a test of its own can hardly make: names and things of every sort. */
function addOddities(root: string): void {
  const odd = join(root, "odd");
  for (const name of [
    "a\nb",
    "-n",
    " x ",
    "$(touch x)",
    "back\\slash",
    "'q'",
    '"q"',
    "é",
    "👩‍👩‍👧‍👦",
    "x".repeat(255),
    "f 644 1 2 3",
  ]) {
    mkdirSync(join(odd, name), { recursive: true });
    writeFileSync(join(odd, name, name), name);
  }
  symlinkSync("nowhere//at all", join(odd, "link"));
  symlinkSync("a\nb", join(odd, "link to\ndirectory"));
  execFileSync("mkfifo", [join(odd, "pipe")]);
  for (const [name, mode] of [
    ["suid", 0o4755],
    ["closed", 0o000],
    ["sticky", 0o1777],
  ] as const) {
    mkdirSync(join(odd, name));
    chmodSync(join(odd, name), mode);
  }
  writeFileSync(join(odd, "old"), "");
  utimesSync(join(odd, "old"), 0, 0);
  for (const path of [
    "node_modules/a/b",
    "odd/node_modules/c",
    "some.log",
    "only/here/d",
    "odd/only/here",
    "odd/n/node_modules",
  ]) {
    mkdirSync(join(root, path, ".."), { recursive: true });
    writeFileSync(join(root, path), path);
  }
  writeFileSync(join(root, "d1/f1"), "changed");
  rmSync(join(root, "d2/f2"));
}

describe.runIf(process.platform === "linux")("a listing by find", () => {
  it("says what a walk says, of everything", async () => {
    const { root, batch, begin } = await prepare();
    addOddities(root);
    const walked = await batch.scan(requestFor(ignorePatterns), signal);
    const begun = begin({ ignorePatterns });
    expect(await begun?.scan(requestFor(ignorePatterns), signal)).toEqual(walked);
    const checked = begin({ ignorePatterns });
    const request = requestFor(ignorePatterns, { checksum: true });
    expect(await checked?.scan(request, signal)).toEqual(walked);
  });

  it("is not begun for a small session, nor for patterns that find does not know", async () => {
    const { begin } = await prepare();
    expect(begin({ ignorePatterns: ["?.log"] })).toBeUndefined();
    const small = await connect({ local: temporaryDirectory(), env: {}, cwd: "/", signal });
    expect(small.openWorkspace("/tmp/workspace").batch?.beginScan?.({ ignorePatterns: [] })).toBeUndefined();
  });

  it.each<[string, (root: string) => void]>([
    [
      "a name that is no text",
      (root) => writeFileSync(Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0xff])]), ""),
    ],
    ["no find on this machine", () => setVariable("PATH", "/nowhere")],
    ["a find that fails", () => setVariable("PATH", failingFind())],
  ])("is replaced by a walk because of %s", async (_name, change) => {
    const { root, batch, begin } = await prepare();
    change(root);
    const begun = begin({ ignorePatterns: [] });
    const found = await begun?.scan(requestFor([]), signal);
    expect(found).toEqual(await batch.scan(requestFor([]), signal));
    expect(found).toMatchObject({ kind: "tree", rootExists: true });
  });

  it("ends with the signal", async () => {
    const { begin } = await prepare();
    const controller = new AbortController();
    const scan = begin({ ignorePatterns: [] })?.scan(requestFor([]), controller.signal);
    controller.abort();
    await expect(scan).rejects.toMatchObject({ name: "AbortError" });
  });

  it("leaves nothing behind when it is not wanted after all", async () => {
    const { root } = await prepare();
    setVariable("TMPDIR", temporaryDirectory());
    const descriptors = () => readdirSync("/proc/self/fd").length;
    const open = descriptors();
    const transport = new EmbeddedTransport({ directory: join(root, "../.."), root: "/tmp/workspace" });
    const begun = FindListing.start(transport, []);
    expect(readdirSync(tmpdir())).toEqual([]);
    begun?.discard();
    begun?.discard();
    expect(await begun?.output(signal)).toBeUndefined();
    expect(descriptors()).toBe(open);
  });
});

/** Until the test ends. */
function setVariable(name: string, value: string): void {
  const before = process.env[name];
  process.env[name] = value;
  onTestFinished(() => {
    if (before === undefined) delete process.env[name];
    else process.env[name] = before;
  });
}

function failingFind(): string {
  const directory = temporaryDirectory();
  writeFileSync(join(directory, "find"), "#!/bin/sh\nprintf './a//f 644 1 2.0 2.0 1\\0'\nexit 1\n", { mode: 0o755 });
  return directory;
}
