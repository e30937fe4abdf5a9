import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { TransportError } from "../../src/errors.ts";
import { acquireLock, LOCKS_PATH } from "../../src/state/lock.ts";
import { beforeCall } from "../helpers/before-call.ts";
import { kinds } from "../helpers/kinds.ts";

const { signal } = new AbortController();
const request = { owner: "a test", timeoutMs: 0 };

describe.each(kinds.filter(({ strategy }) => strategy === "steps"))("the lock: $name", ({ open }) => {
  it("is free at once for the process that could not give it back (S22)", async () => {
    const { session, rootDirectory } = await open();
    const { transport } = session.openWorkspace("/tmp/workspace");
    let isOut = false;
    const shaky = beforeCall(transport, "deleteFile", () => {
      if (isOut) throw new TransportError("UNREACHABLE", "nobody answers");
    });
    const held = await acquireLock(shaky, request, signal);
    await expect(acquireLock(transport, request, signal)).rejects.toMatchObject({ code: "LOCKED" });
    isOut = true;
    await expect(held.release()).rejects.toMatchObject({ code: "UNREACHABLE" });
    expect(readdirSync(join(rootDirectory, LOCKS_PATH))).toHaveLength(1);
    const next = await acquireLock(transport, request, signal);
    await next.release();
    expect(readdirSync(join(rootDirectory, LOCKS_PATH))).toEqual([]);
  });
});
