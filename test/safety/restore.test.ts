import { lstatSync, readFileSync, readlinkSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { TransportError } from "../../src/errors.ts";
import { apply } from "../../src/reconcile/apply-plan.ts";
import { listBackups, restoreBackup } from "../../src/state/backups.ts";
import { breakLock } from "../../src/state/lock.ts";
import type { Transport } from "../../src/transport/transport.ts";
import { workspacePath } from "../../src/tree/workspace-path.ts";
import { kinds } from "../helpers/kinds.ts";
import { look } from "../helpers/look.ts";
import { triesAll } from "../helpers/tries-all.ts";
import { layOut, mirrorOf, temporaryDirectory } from "../helpers/workspace.ts";

const { signal } = new AbortController();

/** Calls `before` ahead of every call of the transport, with its number. */
function watched(transport: Transport, before: (call: number) => void): Transport {
  let count = 0;
  return new Proxy(transport, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== "function") return value;
      return (...args: unknown[]): unknown => {
        before(count++);
        return Reflect.apply(value, target, args);
      };
    },
  });
}

describe.each(kinds)("$name", ({ strategy, isFull, open }) => {
  it("replaces as an apply does: never missing, and whole whenever it is cut off (S2, S3, S19)", {
    timeout: 600_000,
  }, async () => {
    const { session, rootDirectory: root } = await open();
    const directory = temporaryDirectory();
    const source = join(directory, "source");
    const options = { strategy, onConflict: "overwrite", signal } as const;
    const { transport } = session.openWorkspace("/tmp/workspace");
    layOut(source, { "d/file": "ours", other: "ours", ...(isFull ? { link: { link: "other" } } : {}) });
    const lay = async () => {
      layOut(join(root, "d"), { file: { bytes: "theirs", mode: isFull ? 0o640 : 0o644 } });
      layOut(join(root, "more"), { file: "not declared" });
      const extra = isFull ? ["link"] : [];
      for (const path of extra) {
        await transport.deleteFile(workspacePath(path), signal);
        symlinkSync("d", join(root, path));
      }
      const before = look(root, { modes: isFull });
      await apply(mirrorOf(directory), session, options);
      return before;
    };
    const whatIs = (path: string) => {
      const stats = lstatSync(join(root, path), { throwIfNoEntry: false });
      if (stats === undefined) return "nothing";
      return stats.isSymbolicLink() ? readlinkSync(join(root, path)) : readFileSync(join(root, path), "utf8");
    };
    const faults: string[] = [];
    const seen = (label: string) => {
      const [file, link] = [whatIs("d/file"), isFull ? whatIs("link") : "d"];
      if (!["ours", "theirs"].includes(file)) faults.push(`${label}: d/file is ${file}`);
      if (!["other", "d"].includes(link)) faults.push(`${label}: link is ${link}`);
    };
    await apply(mirrorOf(directory), session, options);
    const embedded = transport.kind === "embedded";
    let calls = Number.POSITIVE_INFINITY;
    for (let cut = 0; cut <= calls; cut += triesAll ? 1 : embedded ? 4 : 25) {
      const before = await lay();
      const name = (await listBackups(transport, signal)).at(-1) ?? "";
      let count = 0;
      const cutOff = watched(transport, (call) => {
        count = call + 1;
        // File tools cannot replace in one step.
        if (isFull) seen(`before call ${call}`);
        if (call >= cut) throw new TransportError("UNAVAILABLE", "nobody answers any more");
      });
      const outcome = await restoreBackup(cutOff, name, [], new Date(), signal).catch(() => undefined);
      if (outcome?.failed.length === 0 && count <= cut) calls = cut;
      if (isFull) seen(`after call ${cut}`);
      await breakLock(transport, signal);
      const { failed } = await restoreBackup(transport, name, [], new Date(), signal);
      expect([failed, look(root, { modes: isFull })], `cut at ${cut}`).toEqual([[], before]);
    }
    expect(faults).toEqual([]);
    await session.close();
  });
});
