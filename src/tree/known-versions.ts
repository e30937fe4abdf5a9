import type { Digest } from "./digest.ts";
import { isDigest } from "./digest.ts";

/** Which digest the version of a file has that `key` tells from all others; by path. */
export type KnownVersions = Map<string, { readonly key: string; readonly digest: Digest }>;

/** Reads what `formatKnownVersions` wrote under the same header; missing, foreign or damaged text knows nothing. */
export function parseKnownVersions(header: string, text: string | undefined): KnownVersions {
  const versions: KnownVersions = new Map();
  const fields = text?.split("\0") ?? [];
  if (fields[0] !== header || fields.at(-1) !== "end" || fields.length % 3 !== 2) return versions;
  for (let at = 1; at + 2 < fields.length; at += 3) {
    const [path = "", key = "", digest = ""] = [fields[at], fields[at + 1], fields[at + 2]];
    if (isDigest(digest)) versions.set(path, { key, digest });
  }
  return versions;
}

/** As text. Neither a path nor a key nor a digest can hold a NUL. */
export function formatKnownVersions(header: string, versions: KnownVersions): string {
  const fields = [...versions].map(([path, { key, digest }]) => `${path}\0${key}\0${digest}`);
  return [header, ...fields, "end"].join("\0");
}
