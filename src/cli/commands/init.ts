import { existsSync, realpathSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { UsageError } from "../../errors.ts";
import { manifestFor, sessionNameFor, starterFor } from "../../manifest/starter-manifest.ts";
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
  const name = sessionNameFor(basename(context.cwd));
  const schema = schemaSeenFrom(context.cwd);
  const text = options.from === undefined ? starterFor(name, schema) : manifestFor(options.from, name, schema);
  doing("write agb-sync.yaml", () => writeFileSync(file, text));
  context.console.print("Wrote agb-sync.yaml. Try it with: agb-sync apply --local");
  return exitCodes.done;
}

/** Where the schema of this very program is: a relative path where a project has it installed, else a URL of this machine. */
function schemaSeenFrom(cwd: string): string {
  for (let directory = cwd; ; directory = dirname(directory)) {
    const installed = join(directory, "node_modules/agb-sync/schemas/manifest.schema.json");
    if (existsSync(installed)) return encodeURI(relative(cwd, installed));
    if (dirname(directory) === directory) break;
  }
  const [, program = ""] = process.argv;
  const own = resolve(realpathSync(program), "../../../schemas/manifest.schema.json");
  return existsSync(own) ? pathToFileURL(own).href : "manifest.schema.json";
}
