import ignore from "ignore";
import { ROOT } from "../tree/workspace-path.ts";
import type { Declared } from "./declared.ts";
import { isContainer, nameOf } from "./declared.ts";
import type { Manifest } from "./manifest.ts";
import type { ManifestSource } from "./manifest-source.ts";
import { quoted } from "./quoted.ts";

/** Reports declared paths that `ignore` leaves out: they would never be written. */
export function checkIgnored(manifest: Manifest, declared: readonly Declared[], source: ManifestSource): void {
  const rules = ignore({ ignorecase: false, allowRelativePaths: true });
  manifest.ignore.forEach((pattern, index) => {
    if (source.tree.isSound(["ignore", index])) rules.add({ pattern, mark: String(index) });
  });
  for (const entry of declared) {
    const { path, keys } = entry;
    const { rule } = path === ROOT ? {} : rules.test(isContainer(entry) ? `${path}/` : path);
    if (rule === undefined) continue;
    const { line } = source.positionOf(["ignore", Number(rule.mark)]);
    source.report(
      "PATH_CONFLICT",
      keys,
      `${nameOf(path)} is declared, but ${quoted(rule.pattern)} in ignore (line ${line}) matches it`,
      "change the path or the pattern: what is ignored is never written",
    );
  }
}
