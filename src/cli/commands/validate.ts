import { readSources } from "../../desired/read-sources.ts";
import { plural } from "../../plural.ts";
import { printable } from "../../tree/printable.ts";
import type { Context } from "../context.ts";
import { exitCodes } from "../exit-code.ts";

/** Checks the manifest and its local sources; needs no session. */
export async function run(context: Context, path?: string, options: { readonly json?: boolean } = {}): Promise<number> {
  context.listenForSignals();
  const manifest = await context.loadManifest(path);
  const desired = await readSources(manifest, { signal: context.signal, toleratesWaiting: true });
  const { unreadable, warnings } = desired;
  const waiting = [...new Set(desired.waiting.map(({ line }) => line))].toSorted((one, other) => one - other);
  // A digest of less than everything is the digest of nothing that will ever be.
  const digest = waiting.length === 0 ? desired.digest : null;
  for (const warning of warnings) context.console.warn(warning);
  const files = [...desired.tree.values()].filter((entry) => entry.kind === "file").length;
  const entries = desired.tree.size;
  if (options.json === true) {
    context.console.printData({
      type: "validate",
      file: manifest.file,
      files,
      entries,
      digest,
      waiting,
      warnings,
      unreadable,
    });
  } else {
    const rest = digest ?? `not counting what waits for the session's id (line ${waiting.join(", ")}): no digest yet`;
    const what = `${plural(files, "file")}, ${plural(entries, "entry", "entries")}, ${rest}`;
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
