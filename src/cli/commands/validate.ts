import { readSources } from "../../desired/read-sources.ts";
import type { Context } from "../context.ts";
import { exitCodes } from "../exit-code.ts";

/** Checks the manifest and its local sources; needs no session. */
export async function run(context: Context, path?: string): Promise<number> {
  context.listenForSignals();
  const manifest = await context.loadManifest(path);
  const desired = await readSources(manifest, { signal: context.signal });
  for (const warning of desired.warnings) context.console.warn(warning);
  const files = [...desired.tree.values()].filter((entry) => entry.kind === "file").length;
  context.console.print(`${manifest.file} is valid: ${files} files, ${desired.tree.size} entries, ${desired.digest}`);
  return desired.unreadable.length === 0 ? exitCodes.done : exitCodes.failed;
}
