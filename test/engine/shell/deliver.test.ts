import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ShellEngine } from "../../../src/engine/shell/shell-engine.ts";
import type { ErrorCode } from "../../../src/errors.ts";
import { TransportError } from "../../../src/errors.ts";
import { apply } from "../../../src/reconcile/apply-plan.ts";
import type { Session } from "../../../src/session.ts";
import { forwarding } from "../../helpers/forwarding.ts";
import { openOn, sharedEmulator } from "../../helpers/kinds.ts";
import { look } from "../../helpers/look.ts";
import { layOut, mirrorOf, temporaryDirectory } from "../../helpers/workspace.ts";

const signal = new AbortController().signal;

/** A session whose uploads fail like this after every try. */
async function openWithout(code: ErrorCode) {
  const { session, rootDirectory } = await openOn(await sharedEmulator());
  const upload = async () => {
    throw new TransportError(code, "the store does not take it", { retryable: true });
  };
  const failing: Session = {
    ...session,
    openWorkspace: (root) => {
      const workspace = session.openWorkspace(root);
      const transport = forwarding(workspace.transport, { upload, prepareUpload: undefined });
      return {
        ...workspace,
        transport,
        batch: new ShellEngine(transport, (path) => session.openWorkspace(path).transport),
      };
    },
  };
  const directory = temporaryDirectory();
  layOut(join(directory, "source"), { big: randomBytes(400_000), small: "x" });
  const work = async () => await apply(mirrorOf(directory), failing, { signal, strategy: "batch" });
  return { work, found: () => look(rootDirectory), wanted: look(join(directory, "source")) };
}

describe("what cannot be uploaded", () => {
  it.each<ErrorCode>(["NOT_POSSIBLE_HERE", "TIMEOUT", "UNAVAILABLE", "THROTTLED"])(
    "goes in parts when the upload ends with %s",
    async (code) => {
      const { work, found, wanted } = await openWithout(code);
      expect((await work()).verified).toBe(true);
      expect(found()).toEqual(wanted);
    },
  );

  it("does not go into a session that is gone", async () => {
    const { work } = await openWithout("SESSION_GONE");
    await expect(work()).rejects.toMatchObject({ code: "SESSION_GONE" });
  });
});
