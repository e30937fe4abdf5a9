import { breakLock } from "../../state/lock.ts";
import { takeWarnings } from "../../state/state-file.ts";
import { printable } from "../../tree/printable.ts";
import type { CommonOptions, Context } from "../context.ts";
import { exitCodes } from "../exit-code.ts";

/** Removes every lock ticket of the workspace, whoever left it. */
export async function run(context: Context, given?: string, own: CommonOptions = {}): Promise<number> {
  const { manifest: path, options } = context.sortOut(given, own);
  context.listenForSignals();
  const manifest = await context.loadManifest(path, undefined, false);
  const session = await context.connect(manifest, options, false);
  try {
    context.whenInterrupted = "some locks may be gone";
    const { transport } = session.openWorkspace(context.forSession(manifest, session.id).root);
    const broken = await breakLock(transport, context.signal);
    for (const warning of takeWarnings(transport)) context.console.warn(warning);
    if (options.json === true) {
      const removed = broken.map(({ owner, startedAt }) => ({ owner, since: new Date(startedAt).toISOString() }));
      context.console.printData({ type: "unlock", removed });
      return exitCodes.done;
    }
    if (broken.length === 0) context.console.print("Nothing to do: the workspace is not locked.");
    for (const { owner, startedAt } of broken) {
      context.console.print(
        `Removed the lock of ${printable(owner)}, held since ${new Date(startedAt).toISOString()}.`,
      );
    }
    return exitCodes.done;
  } finally {
    await session.close();
  }
}
