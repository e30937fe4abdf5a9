import { existsSync, readFileSync } from "node:fs";
import { relative, resolve } from "node:path";
import type { Desired } from "../desired/desired.ts";
import { findManifest } from "../desired/load-manifest.ts";
import { AgbSyncError, UsageError } from "../errors.ts";
import { lockDifferences, StaleLockError } from "../lock/lock-differences.ts";
import type { LockDocument } from "../lock/lock-document.ts";
import { parseLock } from "../lock/lock-document.ts";
import { forAnySession, makeLock } from "../lock/make-lock.ts";
import { decodeText } from "../manifest/decode-text.ts";
import type { Manifest } from "../manifest/manifest.ts";
import { readLocalSources } from "../reconcile/make-plan.ts";
import type { CommonOptions, Context } from "./context.ts";
import { doing } from "./local-fault.ts";

/** The lock file of a manifest: where it is, and what messages call it. */
export type LockFile = { readonly file: string; readonly shown: string };

/** Refuses what is not as the lock file says. */
export type LockGuard = {
  /** Looks before there is a session. Gives the sources where they are the same for every session. */
  readonly check: (manifest: Manifest) => Promise<Desired | undefined>;
  /** Looks at what a plan is made of. @throws {StaleLockError}. */
  readonly onSources: (manifest: Manifest, desired: Desired) => void;
};

/** The lock file beside a manifest. @throws {UsageError} for a manifest from standard input, which has none. */
export function lockFileBeside(context: Context, path: string | undefined): LockFile {
  if (path === "-") {
    throw new UsageError("a manifest from standard input has no lock file", { hint: "name the manifest's file" });
  }
  const file = `${resolve(context.cwd, findManifest(path, context.cwd))}.lock`;
  const near = relative(context.cwd, file);
  return { file, shown: near.startsWith("..") ? file : near };
}

/** What the lock file says. @throws {AgbSyncError} `STALE_LOCK` when it is missing or is none. */
export function readLock({ file, shown }: LockFile): LockDocument {
  if (!existsSync(file)) {
    throw new AgbSyncError("STALE_LOCK", `there is no ${shown}`, { hint: "make it, and commit it: agb-sync lock" });
  }
  return parseLock(
    decodeText(
      doing(`read ${shown}`, () => readFileSync(file)),
      shown,
    ),
    shown,
  );
}

/** What is desired now, pinned. @throws {AgbSyncError} `SOURCE_UNREADABLE`: half of it is the lock of nothing. */
export function pin(manifest: Manifest, desired: Desired): LockDocument {
  const [unreadable] = desired.unreadable;
  if (unreadable !== undefined) {
    throw new AgbSyncError("SOURCE_UNREADABLE", `${unreadable} cannot be read, and without it nothing can be pinned`, {
      hint: "make it readable, or name it in ignore:",
    });
  }
  const [missing] = desired.emptyTrees.flatMap((tree) => tree.missing ?? []);
  if (missing !== undefined) throw missing;
  return makeLock(manifest, desired);
}

/** The guard that `--locked` asks for, or that CI=true does where a lock file is; undefined for none. */
export function lockGuard(context: Context, path: string | undefined, options: CommonOptions): LockGuard | undefined {
  const { locked } = options;
  if (locked === false || (locked === undefined && (path === "-" || !isCi(context.env)))) return undefined;
  const lockFile = lockFileBeside(context, path);
  if (locked === undefined && !existsSync(lockFile.file)) return undefined;
  const document = readLock(lockFile);
  const onSources = (manifest: Manifest, desired: Desired) => {
    const differences = lockDifferences(document, pin(manifest, desired));
    if (differences.length > 0) throw new StaleLockError(lockFile.shown, differences);
  };
  return {
    onSources,
    check: async (manifest) => {
      const any = forAnySession(manifest);
      const desired = await readLocalSources(any, context.sourceOptions(options));
      onSources(any, desired);
      const names = [...any.varying.flatMap((varying) => varying.names), ...[...desired.varying.values()].flat()];
      return names.includes("session.id") || options.local !== undefined ? undefined : desired;
    },
  };
}

function isCi({ CI: value = "" }: Context["env"]): boolean {
  return value === "true" || value === "1";
}
