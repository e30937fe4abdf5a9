import type { ParseOptions } from "../../src/manifest/build-manifest.ts";
import { ManifestError } from "../../src/manifest/manifest-error.ts";
import { parseManifest } from "../../src/manifest/parse-manifest.ts";

export const options: ParseOptions = { file: "agb-sync.yaml", directory: "/nowhere", env: { TOKEN: "abc" } };

/** What is wrong with a manifest; undefined when nothing is. */
export function errorOf(text: string, more: Partial<ParseOptions> = {}): ManifestError | undefined {
  try {
    parseManifest(text, { ...options, ...more });
    return undefined;
  } catch (error) {
    if (error instanceof ManifestError) return error;
    throw error;
  }
}

/** Every problem of a manifest as `line:column CODE message | hint`. */
export function problemsOf(text: string, more: Partial<ParseOptions> = {}): readonly string[] {
  return (errorOf(text, more)?.problems ?? []).map(({ line, column, code, message, hint }) => {
    return `${line}:${column} ${code} ${message}${hint === undefined ? "" : ` | ${hint}`}`;
  });
}
