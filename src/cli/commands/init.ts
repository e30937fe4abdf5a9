import { existsSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { UsageError } from "../../errors.ts";
import { manifestFor, starterManifest } from "../../manifest/starter-manifest.ts";
import type { Context } from "../context.ts";
import { exitCodes } from "../exit-code.ts";
import { doing } from "../local-fault.ts";

type Options = { readonly from?: string; readonly force?: boolean };

/** Writes agb-sync.yaml; never replaces one unasked. */
export async function run(context: Context, options: Options = {}): Promise<number> {
  const file = join(context.cwd, "agb-sync.yaml");
  if (existsSync(file) && options.force !== true) {
    throw new UsageError("there is an agb-sync.yaml already", { hint: "edit it, or replace it with --force" });
  }
  if (
    options.from !== undefined &&
    (options.from === "" ||
      statSync(resolve(context.cwd, options.from), { throwIfNoEntry: false })?.isDirectory() !== true)
  ) {
    throw new UsageError(`--from ${JSON.stringify(options.from)} is not a directory`);
  }
  const text = options.from === undefined ? starterManifest : manifestFor(options.from);
  doing("write agb-sync.yaml", () => writeFileSync(file, text));
  context.console.print("Wrote agb-sync.yaml. Try it with: agb-sync apply --local");
  return exitCodes.done;
}
