import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { StepsEngine } from "../../../src/engine/steps/steps-engine.ts";
import { TransportError } from "../../../src/errors.ts";
import { apply } from "../../../src/reconcile/apply-plan.ts";
import type { Session } from "../../../src/session.ts";
import type { Transport } from "../../../src/transport/transport.ts";
import { isStatePath } from "../../../src/tree/workspace-path.ts";
import { untrueRecords } from "../../helpers/against-disk.ts";
import { forwarding } from "../../helpers/forwarding.ts";
import { kinds } from "../../helpers/kinds.ts";
import { look } from "../../helpers/look.ts";
import { withWorkspace } from "../../helpers/with-workspace.ts";
import { layOut, mirrorOf, temporaryDirectory } from "../../helpers/workspace.ts";

const { signal } = new AbortController();

/** The same session, step by step, some of whose calls are others. */
function altered(session: Session, change: (inner: Transport) => Partial<Transport>): Session {
  return withWorkspace(session, (workspace) => {
    const transport = forwarding(workspace.transport, change(workspace.transport));
    return { transport, steps: new StepsEngine(transport, 4), batch: undefined };
  });
}

const isContent = (path: string) => path.includes("/stage/content/");

describe.each(kinds.filter(({ strategy }) => strategy === "steps"))("$name", ({ isFull, open }) => {
  const options = { strategy: "steps", signal, allowMassDelete: true } as const;

  async function prepare() {
    const { session, rootDirectory } = await open();
    const directory = temporaryDirectory();
    const source = join(directory, "source");
    layOut(source, { a: "old", b: "old too", gone: "1", more: "2" });
    await apply(mirrorOf(directory), session, options);
    layOut(source, { a: "new", b: "new too", c: "added", more: "2" });
    return { session, root: rootDirectory, directory, source };
  }

  it("what was staged before an apply was cut off is not sent again (S6)", async () => {
    const { session, root, directory, source } = await prepare();
    const cut = altered(session, (inner) => ({
      move: async (from, to, ...rest) => {
        if (!isStatePath(to)) throw new TransportError("SESSION_GONE", "cut off");
        await inner.move(from, to, ...rest);
      },
    }));
    await expect(apply(mirrorOf(directory), cut, options)).rejects.toMatchObject({ code: "SESSION_GONE" });
    const sent: string[] = [];
    const counted = altered(session, (inner) => ({
      writeFile: async (path, ...rest) => {
        if (isContent(path)) sent.push(path);
        await inner.writeFile(path, ...rest);
      },
    }));
    await apply(mirrorOf(directory), counted, options);
    expect(sent).toEqual([]);
    expect(look(root, { modes: isFull })).toEqual(look(source, { modes: isFull }));
  });

  it("staged bytes that are not those that were sent go nowhere (S2, S34)", async () => {
    const { session, root, directory } = await prepare();
    const before = look(root, { modes: false });
    const forging = altered(session, (inner) => ({
      writeFile: async (path, ...rest) => {
        await inner.writeFile(path, ...rest);
        if (isContent(path)) writeFileSync(join(root, path), "new and more");
      },
    }));
    const report = await apply(mirrorOf(directory), forging, options);
    expect(report.outcomes.flatMap(({ step, result }) => (step.op === "write" ? [result.status] : []))).toEqual([
      "failed",
      "failed",
      "failed",
    ]);
    expect(report.verified).toBe(false);
    // And what they were to replace, or would have followed, stands as it did (S15).
    expect(look(root, { modes: false })).toEqual(before);
  });

  it("nothing is put into place before it is written down what will be (S32)", async () => {
    const { session, directory } = await prepare();
    let isNoted = false;
    const early: string[] = [];
    const slow = altered(session, (inner) => ({
      move: async (from, to, ...rest) => {
        if (!isStatePath(to) && !isNoted) early.push(to);
        // The journal is the last to be there, however slow it is.
        if (to.endsWith("journal.json")) await new Promise((resolve) => setTimeout(resolve, isFull ? 50 : 200));
        await inner.move(from, to, ...rest);
        isNoted ||= to.endsWith("journal.json");
      },
    }));
    await apply(mirrorOf(directory), slow, options);
    expect([isNoted, early]).toEqual([true, []]);
  });

  it("base and journal are put into place by rename, and by nothing else (S32)", async () => {
    const { session, directory } = await prepare();
    const touched: string[] = [];
    const watching = altered(session, (inner) => ({
      writeFile: async (path, ...rest) => {
        if (/\/(?:base|journal)\.json$|\/counter$/.test(path)) touched.push(path);
        await inner.writeFile(path, ...rest);
      },
    }));
    await apply(mirrorOf(directory), watching, options);
    expect(touched).toEqual([]);
  });
});

const [embedded] = kinds.filter(({ name }) => name === "embedded, steps");
const liars: Readonly<Record<string, (inner: Transport) => Partial<Transport>>> = {
  "a directory that is not made": (inner) => ({
    createDirectory: async (path, ...rest) => {
      if (path !== "dir") await inner.createDirectory(path, ...rest);
    },
  }),
  "a link that is not made": () => ({ createLink: async () => undefined }),
  "a link that leads elsewhere": (inner) => ({
    createLink: async (path, _target, ...rest) => await inner.createLink(path, "elsewhere", ...rest),
  }),
  "a file that is not deleted": (inner) => ({
    move: async (from, to, ...rest) => {
      if (from !== "gone") await inner.move(from, to, ...rest);
    },
  }),
  "a file that is not moved": (inner) => ({
    move: async (from, to, ...rest) => {
      if (from !== "from/moved") await inner.move(from, to, ...rest);
    },
  }),
  "a write that is not put into place": (inner) => ({
    move: async (from, to, ...rest) => {
      if (to !== "edited") await inner.move(from, to, ...rest);
    },
  }),
};

describe("what a session only claims to have done", () => {
  it.each(Object.entries(liars))("%s is failed, and nothing is deleted after it (S15, S34)", async (what, lie) => {
    if (embedded === undefined) throw new Error("there is no such kind");
    const { session, rootDirectory } = await embedded.open();
    const directory = temporaryDirectory();
    layOut(join(directory, "source"), { edited: "old", gone: "deleted", "from/moved": "moves" });
    await apply(mirrorOf(directory), session, { strategy: "steps", signal, allowMassDelete: true });
    const after = { edited: "new", "to/moved": "moves", link: { link: "edited" }, dir: { directory: true } } as const;
    layOut(join(directory, "source"), after);
    const report = await apply(mirrorOf(directory), altered(session, lie), { strategy: "steps", signal });
    expect(report.outcomes.filter(({ result }) => result.status === "failed")).toHaveLength(1);
    expect(report.verified).toBe(false);
    expect(readFileSync(join(rootDirectory, "gone"), "utf8"), what).toBe("deleted");
    expect(
      untrueRecords(rootDirectory, { modes: true }).filter((path) => !["gone", "from/moved", "from"].includes(path)),
    ).toEqual([]);
    const again = await apply(mirrorOf(directory), session, { strategy: "steps", signal, onConflict: "overwrite" });
    expect([again.verified, look(rootDirectory)]).toEqual([true, look(join(directory, "source"))]);
    await session.close();
  });
});
