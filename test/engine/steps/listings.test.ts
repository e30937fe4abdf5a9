import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { connect } from "../../../src/connect.ts";
import { StepsEngine } from "../../../src/engine/steps/steps-engine.ts";
import type { ErrorCode } from "../../../src/errors.ts";
import { TransportError } from "../../../src/errors.ts";
import { apply } from "../../../src/reconcile/apply-plan.ts";
import type { Transport } from "../../../src/transport/transport.ts";
import { forwarding } from "../../helpers/forwarding.ts";
import { look } from "../../helpers/look.ts";
import { withWorkspace } from "../../helpers/with-workspace.ts";
import { layOut, mirrorOf, temporaryDirectory } from "../../helpers/workspace.ts";

const { signal } = new AbortController();
const options = { strategy: "steps", signal, allowMassDelete: true } as const;

/** Applies what is new and what is gone to a session whose listings are what `list` makes of them. */
async function applyWith(
  list: (inner: Transport, ...call: Parameters<Transport["listDirectory"]>) => ReturnType<Transport["listDirectory"]>,
) {
  const directory = temporaryDirectory();
  const local = join(directory, "session");
  const session = await connect({ local, env: {}, cwd: "/", signal });
  onTestFinished(async () => await session.close());
  const root = join(local, "tmp/workspace");
  layOut(join(directory, "source"), { a: "1", "d/b": "1", "d/gone": "1", "e/f/c": "1" });
  await apply(mirrorOf(directory), session, options);
  writeFileSync(join(root, "d/theirs"), "of somebody");
  layOut(join(directory, "source"), { a: "2", "d/b": "2", "e/f/c": "2" });
  const before = look(root);
  const altered = withWorkspace(session, (workspace) => {
    const listDirectory: Transport["listDirectory"] = async (...call) => await list(workspace.transport, ...call);
    const transport = forwarding(workspace.transport, { listDirectory });
    return { transport, steps: new StepsEngine(transport, 4), batch: undefined };
  });
  const outcome = await apply(mirrorOf(directory), altered, options).catch((error: unknown) => error);
  return { outcome, isUntouched: JSON.stringify(look(root)) === JSON.stringify(before) };
}

describe("a listing", () => {
  it.each([
    ["", "a"],
    ["", "d"],
    ["d", "b"],
    ["d", "gone"],
    ["e", "f"],
    ["e/f", "c"],
  ])("of %j that lacks %j, which is there, stops everything before the first change (S11)", async (at, name) => {
    const { outcome, isUntouched } = await applyWith(async (inner, path, given) =>
      (await inner.listDirectory(path, given)).filter((child) => path !== at || child.name !== name),
    );
    expect([outcome, isUntouched]).toEqual([expect.objectContaining({ code: "BAD_ANSWER" }), true]);
  });

  it.each<[string, ErrorCode]>([
    ["", "TOOL_FAILED"],
    ["", "PERMISSION_DENIED"],
    ["d", "TOOL_FAILED"],
    ["d", "PERMISSION_DENIED"],
    ["e/f", "UNAVAILABLE"],
  ])("of %j that fails with %s is no empty one (S11)", async (at, code) => {
    const { outcome, isUntouched } = await applyWith(async (inner, path, given) => {
      if (path === at) throw new TransportError(code, "the listing failed");
      return await inner.listDirectory(path, given);
    });
    expect([outcome, isUntouched]).toEqual([expect.objectContaining({ code }), true]);
  });
});
