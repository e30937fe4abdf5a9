import { hasCode, UsageError } from "../../errors.ts";
import { plural } from "../../plural.ts";
import { listBackups, pathsInBackup, restoreBackup } from "../../state/backups.ts";
import { takeWarnings } from "../../state/state-file.ts";
import type { Transport } from "../../transport/transport.ts";
import { printable } from "../../tree/printable.ts";
import { workspacePath } from "../../tree/workspace-path.ts";
import type { CommonOptions, Context } from "../context.ts";
import { duration } from "../context.ts";
import { exitCodes } from "../exit-code.ts";

type Options = CommonOptions & { readonly manifest?: string };

/** One line a backup, oldest first, with the paths in it. */
export async function list(context: Context, given?: string, own: Options = {}): Promise<number> {
  const { manifest, options } = context.sortOut(own.manifest ?? given, own);
  return await withTransport(context, manifest, options, async (transport) => {
    const names = await listBackups(transport, context.signal);
    if (names.length === 0 && options.json !== true) context.console.print("There are no backups.");
    for (const name of names) {
      // An apply may remove one meanwhile; where directories cannot be removed, what is left of one holds nothing.
      const paths = await pathsInBackup(transport, name, context.signal).catch((error: unknown) => {
        if (!hasCode(error, "NOT_FOUND")) throw error;
      });
      if (paths === undefined) continue;
      if (options.json === true) context.console.printData({ type: "backup", name, paths });
      else context.console.print([printable(name), ...paths.map((path) => `  ${printable(path)}`)].join("\n"));
    }
    return exitCodes.done;
  });
}

/** Brings a backup, or some of its paths, back into place. */
export async function restore(
  context: Context,
  name: string,
  paths: readonly string[],
  own: Options = {},
): Promise<number> {
  if (name === "") throw new UsageError("which backup?", { hint: "list them with: agb-sync backups list" });
  const { manifest, options: wished } = context.sortOut(own.manifest, own);
  return await withTransport(context, manifest, wished, async (transport) => {
    context.whenInterrupted = "some paths may have been restored; restore again to finish";
    const wanted = paths.map((path) => workspacePath(path));
    const { lockTimeout } = own;
    const options = lockTimeout === undefined ? {} : { lockTimeoutMs: duration("--lock-timeout", lockTimeout) };
    const outcome = await context.during("restoring", () =>
      restoreBackup(transport, name, wanted, new Date(), context.signal, options),
    );
    for (const warning of takeWarnings(transport)) context.console.warn(warning);
    const { restored, failed, backup } = outcome;
    const exitCode = failed.length > 0 ? exitCodes.failed : exitCodes.done;
    if (own.json === true) {
      const faults = failed.map(({ path, error }) => ({ path, message: error.message }));
      context.console.printData({ type: "restore", name, restored, failed: faults, backup: backup ?? null });
      return exitCode;
    }
    for (const path of restored) context.console.print(`  restored ${printable(path)}`);
    for (const { path, error } of failed) {
      context.console.warn(`not restored: ${printable(path)}: ${context.console.ink.foreign(error.message)}`);
    }
    const aside = backup === undefined ? "" : `; what was there is in backup ${backup}`;
    const open = failed.length === 0 ? "" : `; ${failed.length} not restored, left as they were`;
    context.console.print(
      restored.length + failed.length === 0
        ? "Nothing to restore: the backup is empty."
        : `Restored ${plural(restored.length, "path")}${open}${aside}.`,
    );
    return exitCode;
  });
}

async function withTransport(
  context: Context,
  path: string | undefined,
  options: CommonOptions,
  work: (transport: Transport) => Promise<number>,
): Promise<number> {
  context.listenForSignals();
  const manifest = await context.loadManifest(path, undefined, false);
  const session = await context.connect(manifest, options, false);
  try {
    return await work(session.openWorkspace(context.forSession(manifest, session.id).root).transport);
  } finally {
    await session.close();
  }
}
