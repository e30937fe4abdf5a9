import { readSources } from "../../desired/read-sources.ts";
import { plural } from "../../plural.ts";
import { printable } from "../../tree/printable.ts";
import type { Context } from "../context.ts";
import { exitCodes } from "../exit-code.ts";

/** Checks the manifest and its local sources; needs no session. */
export async function run(context: Context, path?: string, options: { readonly json?: boolean } = {}): Promise<number> {
  context.listenForSignals();
  const manifest = await context.loadManifest(path);
  const desired = await readSources(manifest, { signal: context.signal });
  const { unreadable, digest, warnings } = desired;
  for (const warning of warnings) context.console.warn(warning);
  const files = [...desired.tree.values()].filter((entry) => entry.kind === "file").length;
  const entries = desired.tree.size;
  if (options.json === true) {
    context.console.printData({ type: "validate", file: manifest.file, files, entries, digest, warnings, unreadable });
  } else {
    const what = `${plural(files, "file")}, ${plural(entries, "entry", "entries")}, ${digest}`;
    const but = `, but ${plural(unreadable.length, "source")} cannot be read`;
    context.console.print(
      [
        `${printable(manifest.file)} is valid${unreadable.length === 0 ? "" : but}: ${what}`,
        ...unreadable.map((path) => `  ? ${printable(path)}`),
      ].join("\n"),
    );
  }
  return desired.unreadable.length === 0 ? exitCodes.done : exitCodes.failed;
}
