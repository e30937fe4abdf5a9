import type { ErrorObject } from "ajv";
import type { ManifestFile } from "./manifest-file.ts";
import type { ManifestSource } from "./manifest-source.ts";
import type { Keys } from "./manifest-tree.ts";
import { shortened } from "./quoted.ts";
import { describe, describeValue, keysOf, missingKey, ownErrors, unknownKey } from "./shape-error.ts";
import { suggest } from "./suggest.ts";
import validate from "./validate-manifest.generated.js";

/** How often a manifest is mended at most: each time shows what is wrong a level further down, and there are five. */
const MAX_ROUNDS = 12;

/** The keys that say what a file holds. */
const origins = ["content", "source", "url"];

/** What goes where a value is missing or of no use, by key, and for all other keys. */
const standIns: Readonly<Record<string, string | number>> = {
  version: 1,
  root: "/stand-in",
  content: "",
  sha256: "0".repeat(64),
};
const STAND_IN = "stand-in";

/**
 * Reports misspelt keys and gives them their right names, so that what they hold counts and is checked. To be done
 * before interpolation, which needs `vars`.
 */
export function correctKeys(source: ManifestSource): void {
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const corrected = errorsIn(source.tree.toData()).filter((error) => correctKey(error, source));
    if (corrected.length === 0) return;
  }
}

/**
 * Reports everything that the schema does not allow. Gives the data with stand-ins for all of that, so that the rest
 * can be checked too; undefined when that cannot be done.
 */
export function checkShape(source: ManifestSource): ManifestFile | undefined {
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const data = source.tree.toData();
    if (isShaped(data)) return data;
    const errors = errorsIn(data);
    if (round === 0) reportAll(errors, source);
    for (const error of errors) mend(error, source);
  }
  return undefined;
}

function errorsIn(data: unknown): readonly ErrorObject[] {
  return validate(data) ? [] : ownErrors(validate.errors ?? []);
}

function isShaped(data: unknown): data is ManifestFile {
  return errorsIn(data).length === 0;
}

/** True when the error is about a key that now has another name, or is gone. */
function correctKey(error: ErrorObject, source: ManifestSource): boolean {
  const unknown = unknownKey(error);
  if (unknown === undefined) return false;
  const { key, known } = unknown;
  const keys = keysOf(error);
  if (key === "<<") {
    source.reportKey("UNKNOWN_KEY", [...keys, key], "merge keys (<<) are not supported", "write the keys out");
    source.tree.drop([...keys, key]);
    source.tree.doubt(keys);
    return true;
  }
  const near = suggest(key, known);
  const others = source.tree.keysAt(keys);
  if (near === undefined || others.includes(near)) return false;
  if (origins.includes(near) && others.some((other) => origins.includes(other))) return false;
  reportUnknown(error, source);
  source.tree.rename([...keys, key], near);
  return true;
}

function reportAll(errors: readonly ErrorObject[], source: ManifestSource): void {
  const seen = new Set<string>();
  for (const error of errors) {
    const keys = keysOf(error);
    const missing = missingKey(error);
    if (unknownKey(error) !== undefined) reportUnknown(error, source);
    else if (missing !== undefined) {
      const what = keys.length === 0 ? "the manifest" : describe(keys);
      source.report("MISSING_KEY", keys, `${what} has no \`${missing}\``, "add it");
    } else if (!seen.has(error.instancePath)) {
      // anyOf repeats what its branches said; one problem a place is enough.
      seen.add(error.instancePath);
      const { code, message, hint } = describeValue(error, source.isHidden(keys));
      source.report(code, keys, message, hint);
    }
  }
}

function reportUnknown(error: ErrorObject, source: ManifestSource): void {
  const { key, known } = unknownKey(error) ?? { key: "", known: [] };
  const keys = keysOf(error);
  const near = suggest(key, known);
  const hint = near === undefined ? `known here: ${known.join(", ")}` : `did you mean \`${near}\`?`;
  // An unknown key may be a piece of a content that lacks its quotes.
  const shown = near === undefined && source.isHidden([...keys, key]) ? "" : ` \`${shortened(key)}\``;
  const message = `unknown key${shown}${keys.length === 0 ? "" : ` in ${describe(keys)}`}`;
  source.reportKey("UNKNOWN_KEY", [...keys, key], message, hint);
}

/** Leaves out what is wrong, or puts a stand-in there if something has to be there. */
function mend(error: ErrorObject, source: ManifestSource): void {
  const keys = keysOf(error);
  const unknown = unknownKey(error);
  const missing = missingKey(error);
  if (unknown !== undefined) mendKey([...keys, unknown.key], source);
  else if (missing !== undefined) source.tree.standIn([...keys, missing], standIns[missing] ?? STAND_IN);
  else if (typeof keys.at(-1) === "number") source.tree.standIn(keys, error.schema === "object" ? {} : STAND_IN);
  else mendKey(keys, source);
}

function mendKey(keys: Keys, source: ManifestSource): void {
  const entry = keys.slice(0, -1);
  const standIn = standIns[String(keys.at(-1))];
  if (standIn === undefined) source.tree.drop(keys);
  else source.tree.standIn(keys, standIn);
  // What is left out may have been the content, by another name.
  const hasNoOrigin = !source.tree.keysAt(entry).some((key) => origins.includes(key));
  if (entry[0] === "files" && entry.length === 2 && hasNoOrigin) source.tree.standIn([...entry, "content"], "");
}
