import schema from "../../../schemas/manifest.schema.json" with { type: "json" };
import type { Context } from "../context.ts";
import { exitCodes } from "../exit-code.ts";

/** Prints the JSON schema of manifests. */
export async function run(context: Context): Promise<number> {
  context.console.print(JSON.stringify(schema, undefined, 2));
  return exitCodes.done;
}
