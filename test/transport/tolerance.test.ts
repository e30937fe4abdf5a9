import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { EmulatorOptions } from "../../src/emulator/session/emulator-options.ts";
import { apply } from "../../src/reconcile/apply-plan.ts";
import { makePlan } from "../../src/reconcile/make-plan.ts";
import { openOn, sharedEmulator } from "../helpers/kinds.ts";
import { look } from "../helpers/look.ts";
import { thorough } from "../helpers/tries-all.ts";
import { layOut, mirrorOf, temporaryDirectory } from "../helpers/workspace.ts";

const signal = new AbortController().signal;
const withoutShell = { missingTools: ["shell", "run_code"] };

/** What is not known about the service (protocol §14): every alternative must end the same. */
const services: readonly (readonly [name: string, options: EmulatorOptions])[] = [
  ["data as a JSON string", { dataAs: "string" }],
  ["the link route", { link: true }],
  ["the link route with data as an object", { link: true, dataAs: "object" }],
  ["failing commands in form B", { shellFailureForm: "B" }],
  ["failing commands in form C", { shellFailureForm: "C" }],
  ["a session that runs as root", { user: "root" }],
  ["no file transfer", { missingTools: ["file_transfer"] }],
  ["transfers that take their time", { transferLagMs: 300, transferPolls: 2, transferReadyMs: 200 }],
  ["an old transfer's status first", { staleTransferStatus: true, transferLagMs: 100 }],
  ["answers that are cut off in silence", { maxResponseBytes: 60_000 }],
  ["answers that are refused when long", { maxResponseBytes: 90_000, oversizedResponse: "fail" }],
  ["answers of a few lines only", { maxResponseBytes: 3000 }],
  ...(existsSync("/usr/bin/python3") ? [["run_code in place of the shell", { missingTools: ["shell"] }] as const] : []),
  ["another umask", { verdicts: { umask: 0o077 } }],
  ["no tar", { withoutCommands: ["tar"] }],
  ["no gzip and no setsid", { withoutCommands: ["gzip", "setsid"] }],
  ["no comm", { withoutCommands: ["comm"] }],
  ["no setsid", { withoutCommands: ["setsid"] }],
  ["neither setsid nor nohup", { withoutCommands: ["setsid", "nohup"] }],
  ["without a shell: existing directories refused", { ...withoutShell, verdicts: { createExistingDirectory: "fail" } }],
  ["without a shell: moves that replace", { ...withoutShell, verdicts: { moveOntoExisting: "replace" } }],
  ["without a shell: deleting what is missing succeeds", { ...withoutShell, verdicts: { deleteMissing: "succeed" } }],
  ["without a shell and without file transfer", { missingTools: ["shell", "run_code", "file_transfer"] }],
];

describe("a service with", () => {
  it.each(
    thorough(
      services.filter((_, index) => index % 2 === 0),
      services,
    ),
  )("%s", { timeout: 120_000 }, async (_name, options) => {
    expect(await tryOut(options)).toEqual([]);
  });

  it.skipIf(!existsSync("/bin/busybox") && !existsSync("/usr/bin/busybox"))(
    "BusyBox alone",
    { timeout: 120_000 },
    async () => {
      expect(await tryOut({ userland: "busybox" })).toEqual([]);
    },
  );
});

/** Two applies that must each end as declared; gives the steps that a third one would still take. */
async function tryOut(options: EmulatorOptions): Promise<readonly unknown[]> {
  const hasShell = options.missingTools?.includes("run_code") !== true;
  const hasTransfer = options.missingTools?.includes("file_transfer") !== true;
  const { session, rootDirectory } = await openOn(await sharedEmulator(options));
  const directory = temporaryDirectory();
  const bytes = Buffer.from(Array.from({ length: 200_000 }, (_, index) => (index * 7919 + (index >> 8)) % 256));
  const many = Object.fromEntries(
    Array.from({ length: thorough(14, 60) }, (_, index) => [`many/d${index % 7}/f${index}`, `${index}\n`]),
  );
  const before = {
    ...many,
    "text ä": "one\n",
    ...(hasShell || hasTransfer ? { "bytes.bin": bytes } : {}),
    ...(hasShell ? { "run.sh": { bytes: "#!/bin/sh\n", mode: 0o755 }, "sub/link": { link: "../text ä" } } : {}),
    "sub/gone": "x",
  };
  const { "sub/gone": _gone, ...kept } = before;
  for (const tree of [before, { ...kept, "text ä": "two\n".repeat(30_000), "sub/new/deep": "y" }]) {
    layOut(join(directory, "source"), tree);
    const report = await apply(mirrorOf(directory), session, { signal, allowMassDelete: true });
    expect(report.outcomes.filter(({ result }) => result.status !== "applied")).toEqual([]);
    expect(report.plan.unsupported).toEqual([]);
    expect(report.strategy).toBe(hasShell && options.withoutCommands?.includes("tar") !== true ? "batch" : "steps");
    expect(look(rootDirectory, { modes: hasShell })).toEqual(look(join(directory, "source"), { modes: hasShell }));
  }
  const { plan } = await makePlan(mirrorOf(directory), session, { signal });
  await session.close();
  return plan.steps;
}
