import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { hasCode, TransportError } from "../../src/errors.ts";
import { apply } from "../../src/reconcile/apply-plan.ts";
import type { Session } from "../../src/session.ts";
import { listBackups, pathsInBackup, pruneBackups, restoreBackup } from "../../src/state/backups.ts";
import { acquireLock } from "../../src/state/lock.ts";
import { EmbeddedTransport } from "../../src/transport/embedded/embedded-transport.ts";
import type { Transport } from "../../src/transport/transport.ts";
import { workspacePath } from "../../src/tree/workspace-path.ts";
import { forwarding } from "../helpers/forwarding.ts";
import { kinds } from "../helpers/kinds.ts";
import { look } from "../helpers/look.ts";
import type { Local } from "../helpers/workspace.ts";
import { layOut, mirrorOf, temporaryDirectory } from "../helpers/workspace.ts";

const { signal } = new AbortController();
const now = new Date("2026-01-02T03:04:05Z");

const transportOf = (session: Session) => session.openWorkspace("/tmp/workspace").transport;

describe.each(kinds)("$name", ({ strategy, isFull, open }) => {
  const foreign: Record<string, Local> = {
    plain: "theirs",
    "deep/er/file": "theirs as well\n",
    empty: "",
    ...(isFull
      ? {
          "new\nline": "1",
          "a link": { link: "somewhere/else" },
          program: { bytes: "#!/bin/sh\n", mode: 0o751 },
          bytes: Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)),
        }
      : {}),
  };

  /** A session whose foreign files an apply has just replaced by "ours", and the name of their backup. */
  async function replaced() {
    const { session, rootDirectory } = await open();
    const directory = temporaryDirectory();
    layOut(rootDirectory, foreign);
    const before = look(rootDirectory, { modes: isFull });
    layOut(join(directory, "source"), Object.fromEntries(Object.keys(foreign).map((path) => [path, "ours"])));
    await apply(mirrorOf(directory), session, { strategy, onConflict: "overwrite", signal });
    const [name = ""] = await listBackups(transportOf(session), signal);
    const restore = async (...paths: string[]) =>
      await restoreBackup(
        transportOf(session),
        name,
        paths.map((path) => workspacePath(path)),
        now,
        signal,
      );
    return { session, transport: transportOf(session), root: rootDirectory, before, name, restore };
  }

  it("brings everything back, keeps what was there in a new backup, and leaves nothing else (S19)", async () => {
    const { transport, root, before, name, restore } = await replaced();
    const ours = look(root, { modes: isFull });
    const stages = readdirSync(join(root, ".agb-sync/stage"));
    const kept = look(join(root, ".agb-sync/backup", name), { modes: isFull });
    const { restored, failed, backup = "" } = await restore();
    expect([restored.toSorted(), failed]).toEqual([Object.keys(foreign).toSorted(), []]);
    expect(look(root, { modes: isFull })).toEqual(before);
    expect(look(join(root, ".agb-sync/backup", name), { modes: isFull })).toEqual(kept);
    expect(backup).toBe("20260102T030405Z-000002");
    expect(await pathsInBackup(transport, backup, signal)).toEqual(restored);
    await restoreBackup(transport, backup, [], now, signal);
    expect(look(root, { modes: isFull })).toEqual(ours);
    expect(isFull ? readdirSync(join(root, ".agb-sync/stage")) : stages).toEqual(stages);
    expect(readdirSync(join(root, ".agb-sync/locks"))).toEqual([]);
  });

  it("brings back what was asked for, and says what is not in the backup", async () => {
    const { root, restore } = await replaced();
    const result = await restore("deep", "plain", "nowhere");
    expect(result).toMatchObject({
      restored: ["deep/er/file", "plain"],
      failed: [{ path: "nowhere", error: { code: "NOT_FOUND" } }],
    });
    expect(readFileSync(join(root, "empty"), "utf8")).toBe("ours");
    await expect(restoreBackup((await replaced()).transport, "none", [], now, signal)).rejects.toMatchObject({
      code: "NOT_FOUND",
    });
  });

  it("makes way: a file where a directory is needed, a directory where a file was", async () => {
    const { root, restore } = await replaced();
    rmSync(join(root, "deep"), { recursive: true });
    writeFileSync(join(root, "deep"), "a file now");
    rmSync(join(root, "plain"));
    mkdirSync(join(root, "plain/in"), { recursive: true });
    writeFileSync(join(root, "plain/in/it"), "in the way");
    const { failed, backup = "" } = await restore("deep", "plain");
    expect(failed).toEqual([]);
    expect(readFileSync(join(root, "deep/er/file"), "utf8")).toBe("theirs as well\n");
    expect(readFileSync(join(root, "plain"), "utf8")).toBe("theirs");
    const aside = join(root, ".agb-sync/backup", backup);
    expect(readFileSync(join(aside, "deep"), "utf8")).toBe("a file now");
    expect(readFileSync(join(aside, "plain/in/it"), "utf8")).toBe("in the way");
  });

  it("gives each restore a name of its own, and moves nothing that is back already", async () => {
    const { transport, root, restore } = await replaced();
    const names = new Set<string | undefined>();
    for (let round = 0; round < 3; round += 1) {
      writeFileSync(join(root, "plain"), `round ${round}`);
      names.add((await restore("plain")).backup);
    }
    expect(names.size).toBe(3);
    expect(await restore("plain")).toEqual({ restored: ["plain"], failed: [], backup: undefined });
    expect(await listBackups(transport, signal)).toHaveLength(4);
  });

  it("goes on after a path that fails, which stays as it is", async () => {
    const { root, name, restore } = await replaced();
    rmSync(join(root, ".agb-sync/backup", name, "empty"));
    execFileSync("mkfifo", [join(root, ".agb-sync/backup", name, "empty")]);
    const { restored, failed, backup = "" } = await restore();
    expect(failed).toMatchObject([{ path: "empty", error: { message: expect.stringContaining("FIFO") } }]);
    expect(restored).toHaveLength(Object.keys(foreign).length - 1);
    expect(readFileSync(join(root, "empty"), "utf8")).toBe("ours");
    expect(existsSync(join(root, ".agb-sync/backup", backup, "empty"))).toBe(false);
  });

  it.each(["999999999999999", "999999999999"])(
    "counts on past a foreign directory that ends in %s, whatever becomes of the counter (S19, S42)",
    async (number) => {
      const { session, rootDirectory } = await open();
      const [directory, state] = [temporaryDirectory(), join(rootDirectory, ".agb-sync")];
      const theirs = `20991231T235959Z-${number}`;
      layOut(rootDirectory, { [`.agb-sync/backup/${theirs}/file`]: "theirs" });
      const damages = ["", "garbage", "-5", "99999999999999999999999", undefined];
      for (const [index, counter] of damages.entries()) {
        if (counter === undefined) rmSync(join(state, "counter"));
        else writeFileSync(join(state, "counter"), counter);
        writeFileSync(join(rootDirectory, "file"), `foreign ${index}`);
        layOut(join(directory, "source"), { file: `ours ${index}` });
        await apply(mirrorOf(directory), session, { strategy, onConflict: "overwrite", signal });
      }
      const kept = readdirSync(join(state, "backup")).filter((name) => name !== theirs);
      const texts = kept.map((name) => readFileSync(join(state, "backup", name, "file"), "utf8"));
      expect(texts.toSorted()).toEqual(damages.map((_, index) => `foreign ${index}`));
    },
  );

  it("waits for the lock, and names its holder (S22)", async () => {
    const { transport, root, name } = await replaced();
    const lock = await acquireLock(transport, { owner: "the holder", timeoutMs: 0 }, signal);
    const impatient = { lockTimeoutMs: 0 };
    const outcome = restoreBackup(transport, name, [], now, signal, impatient);
    await expect(outcome).rejects.toMatchObject({ code: "LOCKED", message: expect.stringContaining("the holder") });
    await lock.release();
    expect(readFileSync(join(root, "plain"), "utf8")).toBe("ours");
    expect((await restoreBackup(transport, name, [], now, signal, impatient)).failed).toEqual([]);
  });

  it.runIf(isFull)("works in read-only directories and keeps their modes", async () => {
    const { root, restore } = await replaced();
    chmodSync(join(root, "deep/er"), 0o555);
    chmodSync(join(root, "deep"), 0o555);
    expect((await restore("deep")).failed).toEqual([]);
    expect(readFileSync(join(root, "deep/er/file"), "utf8")).toBe("theirs as well\n");
    expect([look(root)["deep"], look(root)["deep/er"]]).toEqual(["555 directory", "555 directory"]);
  });

  it("stops when it is told to, and says what was not done (S33)", async () => {
    const { transport, root, name } = await replaced();
    const controller = new AbortController();
    const stopping = withMove(transport, async (...args) => {
      await transport.move(...args);
      controller.abort();
    });
    const { restored, failed } = await restoreBackup(stopping, name, [], now, controller.signal);
    expect([...restored, ...failed.map(({ path }) => path)].toSorted()).toEqual(Object.keys(foreign).toSorted());
    expect(failed.every(({ error }) => hasCode(error, "ABORTED"))).toBe(true);
    expect(restored).toEqual([]);
    for (const path of Object.keys(foreign)) expect(readFileSync(join(root, path), "utf8"), path).toBe("ours");
  });

  it("puts back what it had moved when the disk is full in the end (S2, S19)", async () => {
    const { transport, root, name } = await replaced();
    rmSync(join(root, "deep"), { recursive: true });
    writeFileSync(join(root, "deep"), "a file now");
    const before = look(root, { modes: isFull });
    const full = withMove(transport, async (from, to, ...rest) => {
      if (!from.includes("/stage/")) await transport.move(from, to, ...rest);
      else throw new TransportError("NO_SPACE", "no space left on the device");
    });
    const { restored, failed, backup } = await restoreBackup(full, name, [], now, signal);
    expect(restored).toEqual([]);
    expect(failed.map(({ error }) => hasCode(error, "NO_SPACE"))).toEqual(Object.keys(foreign).map(() => true));
    // Without a shell no directory can be removed: what stood where one was made stays in the new backup.
    const left = isFull ? {} : { deep: "directory", "deep/er": "directory" };
    expect(look(root, { modes: isFull })).toEqual({ ...before, ...left });
    const names = await listBackups(transport, signal);
    expect(names.toSorted()).toEqual((isFull ? [name] : [name, backup ?? ""]).toSorted());
    const aside = isFull ? join(root, "deep") : join(root, ".agb-sync/backup", backup ?? "", "deep");
    expect(readFileSync(aside, "utf8")).toBe("a file now");
  });
});

/** The same session with another way to move. */
function withMove(inner: Transport, move: Transport["move"]): Transport {
  return forwarding(inner, { move });
}

describe("pruning", () => {
  it("removes all but the newest, read-only directories too", async () => {
    const local = join(temporaryDirectory(), "session");
    const transport = new EmbeddedTransport({ directory: local, root: "/tmp/workspace" });
    const names = Array.from({ length: 8 }, (_, day) => `2026010${day + 1}T000000Z-0a1b2c`);
    for (const name of names) {
      const place = join(local, "tmp/workspace/.agb-sync/backup", name);
      layOut(place, { "d/file": "1", "a link": { link: "d" } });
      chmodSync(join(place, "d"), 0o555);
    }
    await pruneBackups(transport, signal);
    expect(await listBackups(transport, signal)).toEqual(names.slice(3));
  });
});
