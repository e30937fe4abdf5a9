import { existsSync, renameSync, rmSync, writeFileSync } from "node:fs";
import type { LockDifference } from "../../lock/lock-differences.ts";
import { lockDifferences, StaleLockError, updateLock } from "../../lock/lock-differences.ts";
import type { LockDocument } from "../../lock/lock-document.ts";
import { formatLock } from "../../lock/lock-document.ts";
import { forAnySession } from "../../lock/make-lock.ts";
import { plural } from "../../plural.ts";
import { readLocalSources } from "../../reconcile/make-plan.ts";
import { printable } from "../../tree/printable.ts";
import type { Context } from "../context.ts";
import { exitCodes } from "../exit-code.ts";
import { doing } from "../local-fault.ts";
import type { LockFile } from "../lock-guard.ts";
import { lockFileBeside, pin, readLock } from "../lock-guard.ts";
import { renderLockDifferences } from "../render-lock.ts";

type Options = { readonly json?: boolean; readonly check?: boolean; readonly update?: readonly string[] };

/** Pins what the manifest and its sources ask for in a file beside it; with `--check`, compares only. */
export async function run(context: Context, path?: string, options: Options = {}): Promise<number> {
  const { console } = context;
  context.listenForSignals();
  const lockFile = lockFileBeside(context, path);
  const manifest = forAnySession(await context.loadManifest(path));
  const desired = await readLocalSources(manifest, context.sourceOptions({ checksum: true }));
  for (const warning of desired.warnings) console.warn(warning);
  const current = pin(manifest, desired);
  const mustBeThere = options.check === true || options.update !== undefined;
  const before = mustBeThere || existsSync(lockFile.file) ? readOr(lockFile, mustBeThere) : undefined;
  const wanted =
    options.update === undefined || before === undefined ? current : updateLock(before, current, options.update);
  const differences = before === undefined ? [] : lockDifferences(before, wanted);
  if (options.check === true && differences.length > 0) throw new StaleLockError(lockFile.shown, differences);
  const isNew = before === undefined;
  const isWritten = options.check !== true && (isNew || differences.length > 0);
  if (isWritten) write(lockFile, formatLock(wanted));
  tell(context, { lockFile, wanted, differences, isNew, isWritten }, options.json === true);
  return exitCodes.done;
}

/** One that is damaged is made anew where nothing of it is needed. */
function readOr(lockFile: LockFile, isNeeded: boolean): LockDocument | undefined {
  try {
    return readLock(lockFile);
  } catch (error) {
    if (isNeeded) throw error;
    return undefined;
  }
}

/** Whoever reads it meanwhile sees the old one or the new one. */
function write({ file, shown }: LockFile, text: string): void {
  const staged = `${file}.${process.pid}.new`;
  doing(`write ${shown}`, () => {
    try {
      writeFileSync(staged, text);
      renameSync(staged, file);
    } finally {
      rmSync(staged, { force: true });
    }
  });
}

type Outcome = {
  readonly lockFile: LockFile;
  readonly wanted: LockDocument;
  readonly differences: readonly LockDifference[];
  readonly isNew: boolean;
  readonly isWritten: boolean;
};

function tell({ console }: Context, outcome: Outcome, isJson: boolean): void {
  const { lockFile, wanted, differences, isNew, isWritten } = outcome;
  const varying = wanted.entries.filter(({ variesBy }) => variesBy !== undefined).length;
  if (isJson) {
    const { entries } = wanted;
    const counts = { entries: entries.length, varying };
    console.printData({ type: "lock", file: lockFile.shown, ...counts, written: isWritten, differences });
    return;
  }
  for (const line of renderLockDifferences(differences)) console.print(line);
  const verb = isWritten ? (isNew ? "Locked" : "Locked anew") : "Nothing to do";
  const but = varying === 0 ? "" : `, ${varying} of them named only, as they differ by machine or session`;
  const what = `${plural(wanted.entries.length, "entry", "entries")}${but}`;
  console.print(`${verb}: ${printable(lockFile.shown)} pins ${what}`);
}
