import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Emulator } from "../../src/emulator/start-emulator.ts";
import { startEmulator } from "../../src/emulator/start-emulator.ts";
import { apply } from "../../src/reconcile/apply-plan.ts";
import { run, start } from "../helpers/cli.ts";
import { openOn } from "../helpers/kinds.ts";
import { thorough } from "../helpers/tries-all.ts";
import { layOut, mirrorOf, temporaryDirectory } from "../helpers/workspace.ts";

const { signal } = new AbortController();
const MANIFEST = "version: 1\nroot: /tmp/workspace\ntrees: [{ source: source, path: . }]\n";
const names = Array.from({ length: 1000 }, (_, index) => `f${String(index).padStart(3, "0")}`);

let emulator: Emulator;
beforeAll(async () => {
  emulator = await startEmulator();
});
afterAll(async () => await emulator.close());

/** A session whose next apply has a thousand modes to set, one process each. */
async function prepare() {
  const { session, rootDirectory } = await openOn(emulator);
  const cwd = temporaryDirectory();
  layOut(join(cwd, "source"), Object.fromEntries(names.map((name) => [name, { bytes: name, mode: 0o755 }])));
  writeFileSync(join(cwd, "agb-sync.yaml"), MANIFEST);
  await apply(mirrorOf(cwd), session, { strategy: "batch", signal });
  for (const name of names) chmodSync(join(rootDirectory, name), 0o600);
  await session.close();
  const env = { AGB_API_KEY: emulator.apiKey, AGB_ENDPOINT: emulator.url };
  const args = ["apply", "--session", session.id, "--yes", "--strategy", "batch"];
  return { rootDirectory, cwd, env, args, id: session.id };
}

const changed = (root: string) => names.filter((name) => (statSync(join(root, name)).mode & 0o111) !== 0).length;
const locks = (root: string) => readdirSync(join(root, ".agb-sync/locks"));

async function underWay(root: string): Promise<void> {
  await expect.poll(() => changed(root), { interval: 2, timeout: 20_000 }).toBeGreaterThan(0);
}

/** Base as it is stored: its header's count, and how many records there are. */
function storedBase(root: string) {
  const [header = "", ...records] = readFileSync(join(root, ".agb-sync/base.json"), "utf8").trimEnd().split("\n");
  return { count: /"count":(\d+)/.exec(header)?.[1], records: String(records.length) };
}

describe("a batch that is under way", () => {
  it("keeps its lock when its client is killed, and nobody works beside it (S22, S31)", async () => {
    const { rootDirectory, cwd, env, args } = await prepare();
    const first = start(args, { cwd, env });
    await underWay(rootDirectory);
    first.kill("SIGKILL");
    const other = temporaryDirectory();
    layOut(join(other, "source"), { f000: "other" });
    writeFileSync(join(other, "agb-sync.yaml"), `${MANIFEST}prune: none\n`);
    const second = await run([...args, "--lock-timeout", "60s"], { cwd: other, env });
    expect([second.code, second.stderr]).toEqual([0, expect.anything()]);
    expect(changed(rootDirectory)).toBeGreaterThanOrEqual(names.length - 1);
    expect(readFileSync(join(rootDirectory, "f000"), "utf8")).toBe("other");
    const { count, records } = storedBase(rootDirectory);
    expect(records).toBe(count);
    expect(locks(rootDirectory)).toEqual([]);
  });

  it("says who holds the lock to whoever does not want to wait (S22)", async () => {
    const { rootDirectory, cwd, env, args } = await prepare();
    const first = start(args, { cwd, env });
    const ended = once(first, "close");
    await underWay(rootDirectory);
    const second = await run([...args, "--lock-timeout", "0s"], { cwd, env });
    expect([second.code, second.stderr]).toEqual([75, expect.stringContaining("another apply holds the workspace")]);
    await ended;
  });

  it.each(thorough<readonly ("SIGINT" | "SIGTERM")[]>(["SIGINT"], ["SIGINT", "SIGTERM"]))(
    "stops at %s and says what was done and what was not (S33)",
    async (how) => {
      const { rootDirectory, cwd, env, args } = await prepare();
      const child = start(args, { cwd, env });
      let said = "";
      child.stdout?.on("data", (chunk) => (said += String(chunk)));
      child.stderr?.on("data", (chunk) => (said += String(chunk)));
      await underWay(rootDirectory);
      child.kill(how);
      const [code] = await once(child, "close");
      const done = changed(rootDirectory);
      expect([code, said]).toEqual([how === "SIGINT" ? 130 : 143, expect.stringContaining("interrupted")]);
      expect(done).toBeLessThan(names.length);
      expect(said).toContain(`${done} of ${names.length} steps done`);
      // Nothing goes on behind the back of whoever stopped it.
      const again = await run(["plan", "--session", args[2] ?? "", "--json"], { cwd, env });
      expect(JSON.parse(again.stdout).steps).toHaveLength(names.length - done);
      expect([changed(rootDirectory), locks(rootDirectory)]).toEqual([done, []]);
      const rest = await run(args, { cwd, env });
      expect([rest.code, changed(rootDirectory)]).toEqual([0, names.length]);
    },
  );

  it("shows a fresh root all at once (S4)", async () => {
    const { session, rootDirectory } = await openOn(emulator);
    const cwd = temporaryDirectory();
    layOut(join(cwd, "source"), Object.fromEntries(names.map((name) => [`d/${name}`, name.repeat(100)])));
    rmSync(rootDirectory, { recursive: true, force: true });
    const script = `i=0; while [ ! -d workspace ]; do i=$((i+1)); [ $i -gt 3000000 ] && exit 1; done; set -- workspace/d/*; echo $#`;
    const watcher = spawn("sh", ["-c", script], {
      cwd: join(rootDirectory, ".."),
      stdio: ["ignore", "pipe", "ignore"],
    });
    let seen = "";
    watcher.stdout.on("data", (chunk) => (seen += String(chunk)));
    const ended = once(watcher, "close");
    await apply(mirrorOf(cwd), session, { strategy: "batch", signal });
    await ended;
    expect(seen.trim()).toBe(String(names.length));
    expect(existsSync(join(rootDirectory, "d/f199"))).toBe(true);
    await session.close();
  });
});
