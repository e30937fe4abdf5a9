import { createHash } from "node:crypto";
import { lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";

/**
 * What really is in a local directory, found without any code of the product: path to `mode digest`, `-> target` or
 * `directory`. agb-sync's own state is left out.
 */
export function look(directory: string, options: { readonly modes?: boolean } = {}): Record<string, string> {
  const found: Record<string, string> = {};
  const visit = (inner: string) => {
    for (const name of readdirSync(join(directory, inner)).toSorted()) {
      const path = inner === "" ? name : `${inner}/${name}`;
      if (path === ".agb-sync") continue;
      const stats = lstatSync(join(directory, path));
      const mode = options.modes === false ? "" : `${(stats.mode & 0o7777).toString(8)} `;
      if (stats.isSymbolicLink()) found[path] = `-> ${readlinkSync(join(directory, path))}`;
      else if (stats.isDirectory()) {
        found[path] = `${mode}directory`;
        visit(path);
      } else if (stats.isFile())
        found[path] = `${mode}${createHash("sha256")
          .update(readFileSync(join(directory, path)))
          .digest("hex")}`;
      else found[path] = "special";
    }
  };
  visit("");
  return found;
}
