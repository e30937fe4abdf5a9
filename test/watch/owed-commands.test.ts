import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Watched } from "./watched.ts";

const hintsOnly = { safetyMs: 60_000 };
const files = { lock: "1", other: "1" };
const commands = `run: [{ command: "echo x >>ran; test -e ok", onChange: [lock] }]\nignore: [ran, ok]\n`;

/** How often the command ran, and whether base says that it is owed. */
function stateOf({ root }: Watched) {
  const read = (name: string) => (existsSync(join(root, name)) ? readFileSync(join(root, name), "utf8") : "");
  return { runs: read("ran").length / 2, isOwed: read(".agb-sync/base.json").includes('"owed"') };
}

async function started(directory?: string): Promise<Watched> {
  const watched = new Watched(directory);
  watched.manifest = commands;
  const onEvent = () => watched.wake();
  await watched.start(directory === undefined ? files : { ...files, lock: readLock(directory) }, {
    ...hintsOnly,
    onEvent,
  });
  return watched;
}

const readLock = (directory: string) => readFileSync(join(directory, "source/lock"), "utf8");

describe("commands that are owed, in watch (S40)", () => {
  it("are struck out once they have ended well, without a scan, and are not forgotten by a restart", async () => {
    const first = await started();
    expect(stateOf(first)).toEqual({ runs: 1, isOwed: true });
    writeFileSync(join(first.source, "other"), "2");
    await first.until(() => first.cycles.length === 1);
    expect(stateOf(first)).toEqual({ runs: 1, isOwed: true });
    await first.stop();

    const second = await started(first.directory);
    expect(stateOf(second)).toEqual({ runs: 2, isOwed: true });
    writeFileSync(join(second.root, "ok"), "");
    writeFileSync(join(second.source, "lock"), "2");
    await second.until(() => stateOf(second).runs === 3);
    const poll = setInterval(() => second.wake(), 20);
    await second.until(() => !stateOf(second).isOwed);
    clearInterval(poll);
    writeFileSync(join(second.source, "other"), "3");
    await second.until(() => readFileSync(join(second.root, "other"), "utf8") === "3");
    expect([stateOf(second).runs, second.all("problem")]).toEqual([3, []]);
    await second.stop();

    const third = await started(first.directory);
    expect(stateOf(third)).toEqual({ runs: 3, isOwed: false });
  });
});
