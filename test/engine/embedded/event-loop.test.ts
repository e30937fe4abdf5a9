import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { connect } from "../../../src/connect.ts";
import type { ProgressEvent } from "../../../src/progress.ts";
import { apply } from "../../../src/reconcile/apply-plan.ts";
import { makePlan } from "../../../src/reconcile/make-plan.ts";
import type { ReconcileOptions } from "../../../src/reconcile/reconcile-options.ts";
import { layOut, mirrorOf, temporaryDirectory } from "../../helpers/workspace.ts";

const files = Object.fromEntries(Array.from({ length: 4000 }, (_, index) => [`d${index % 20}/f${index}`, `${index}`]));

async function prepare() {
  const directory = temporaryDirectory();
  const local = join(directory, "session");
  layOut(join(directory, "source"), files);
  const { signal } = new AbortController();
  const session = await connect({ local, env: {}, cwd: "/", signal });
  return { manifest: mirrorOf(directory), session, root: join(local, "tmp/workspace") };
}

/** Options whose signal is aborted by a timer once `isTime` says so of an event, or of nothing but the time. */
function stoppedBy(isTime: (event?: ProgressEvent) => boolean): ReconcileOptions {
  const controller = new AbortController();
  const timer = setInterval(() => {
    if (isTime()) controller.abort();
  }, 1);
  onTestFinished(() => clearInterval(timer));
  let isSet = false;
  const onEvent = (event: ProgressEvent) => {
    if (isSet || !isTime(event)) return;
    isSet = true;
    setTimeout(() => controller.abort(), 1);
  };
  return { signal: controller.signal, onEvent };
}

describe.each(["batch", "steps"] as const)("timers and signals get their turn, %s (S33)", (strategy) => {
  it("during a commit in place", async () => {
    const { manifest, session, root } = await prepare();
    mkdirSync(root, { recursive: true });
    const stopped = stoppedBy(() => existsSync(join(root, "d0/f0")));
    const report = await apply(manifest, session, { ...stopped, strategy });
    const ends = report.outcomes.map(({ result }) => result.status);
    expect(ends).toContain("applied");
    expect(ends).toContain("skipped");
  });

  it("while new bytes are staged", async () => {
    const { manifest, session, root } = await prepare();
    mkdirSync(root, { recursive: true });
    const stopped = stoppedBy((event) => event?.type === "bytes");
    const outcome = await apply(manifest, session, { ...stopped, strategy }).then(
      ({ outcomes }) => outcomes.every(({ result }) => result.status !== "applied"),
      () => true,
    );
    expect(outcome).toBe(true);
    expect(readdirSync(root)).toEqual([".agb-sync"]);
  });

  it("during a scan", async () => {
    const { manifest, session, root } = await prepare();
    layOut(root, files);
    const stopped = stoppedBy((event) => event?.type === "phase-start" && event.phase === "scan");
    await expect(makePlan(manifest, session, { ...stopped, strategy })).rejects.toThrow(/abort/);
  });
});

it("a fresh root does not go live when it is stopped (S4, S33)", async () => {
  const { manifest, session, root } = await prepare();
  const stopped = stoppedBy((event) => event?.type === "bytes");
  await expect(apply(manifest, session, { ...stopped, strategy: "batch" })).rejects.toThrow(/abort/);
  expect(readdirSync(join(root, ".."))).toEqual([]);
});
