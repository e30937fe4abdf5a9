import { UsageError } from "../../errors.ts";
import { listBackups, pathsInBackup, restoreBackup } from "../../state/backups.ts";
import type { Transport } from "../../transport/transport.ts";
import { printable } from "../../tree/printable.ts";
import { workspacePath } from "../../tree/workspace-path.ts";
import type { CommonOptions, Context } from "../context.ts";
import { exitCodes } from "../exit-code.ts";
import { plural } from "../plural.ts";

type Options = CommonOptions & { readonly manifest?: string };

/** One line a backup, oldest first, with the paths in it. */
export async function list(context: Context, given?: string, own: Options = {}): Promise<number> {
  const { manifest, options } = context.sortOut(own.manifest ?? given, own);
  return await withTransport(context, manifest, options, async (transport) => {
    const names = await listBackups(transport, context.signal);
    if (names.length === 0 && options.json !== true) context.console.print("There are no backups.");
    for (const name of names) {
      const paths = await pathsInBackup(transport, name, context.signal);
      if (options.json === true) context.console.printData({ type: "backup", name, paths });
      else context.console.print([printable(name), ...paths.map((path) => `  ${printable(path)}`)].join("\n"));
    }
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
  return await withTransport(context, own.manifest, own, async (transport) => {
    context.whenInterrupted = "some paths may have been restored; restore again to finish";
    const wanted = paths.map((path) => workspacePath(path));
    const { restored, backup } = await restoreBackup(transport, name, wanted, new Date(), context.signal);
    if (own.json === true) {
      context.console.printData({ type: "restore", name, restored, backup: backup ?? null });
      return;
    }
    for (const path of restored) context.console.print(`  restored ${printable(path)}`);
    const aside = backup === undefined ? "" : `; what was there is in backup ${backup}`;
    context.console.print(
      restored.length === 0
        ? "Nothing to restore: the backup holds none of these paths."
        : `Restored ${plural(restored.length, "file")}${aside}.`,
    );
  });
}

async function withTransport(
  context: Context,
  path: string | undefined,
  options: CommonOptions,
  work: (transport: Transport) => Promise<void>,
): Promise<number> {
  context.listenForSignals();
  const manifest = await context.loadManifest(path, undefined, false);
  const session = await context.connect(manifest, options, false);
  try {
    await work(session.openWorkspace(manifest.root).transport);
    return exitCodes.done;
  } finally {
    await session.close();
  }
}
