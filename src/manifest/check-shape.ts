import type { ErrorObject } from "ajv";
import type { ManifestFile } from "./manifest-file.ts";
import type { Keys, ManifestSource } from "./manifest-source.ts";
import { quoted, shortened } from "./quoted.ts";
import { suggest } from "./suggest.ts";
import validate from "./validate-manifest.generated.js";

/** Reports everything that the schema does not allow; true when there is nothing. */
export function checkShape(data: unknown, source: ManifestSource): data is ManifestFile {
  if (validate(data)) return true;
  const seen = new Set<string>();
  for (const error of validate.errors ?? []) {
    // anyOf repeats what its branches said; one problem a place is enough.
    const place = `${error.instancePath} ${error.keyword === "additionalProperties" ? text(error, "additionalProperty") : ""}`;
    if (error.keyword !== "additionalProperties" && error.keyword !== "required" && seen.has(place)) continue;
    seen.add(place);
    report(error, source);
  }
  return false;
}

function report(error: ErrorObject, source: ManifestSource): void {
  const keys = keysOf(error.instancePath);
  const name = describe(keys);
  switch (error.keyword) {
    case "additionalProperties": {
      const key = text(error, "additionalProperty");
      const known = Object.keys(record(error.parentSchema?.["properties"]));
      const near = suggest(key, known);
      const hint = near === undefined ? `known here: ${known.join(", ")}` : `did you mean \`${near}\`?`;
      // An unknown key may be a piece of a content that lacks its quotes.
      const shown = near === undefined && source.isHidden([...keys, key]) ? "" : ` \`${shortened(key)}\``;
      const message = `unknown key${shown}${keys.length === 0 ? "" : ` in ${name}`}`;
      source.reportKey("UNKNOWN_KEY", keys, key, message, hint);
      return;
    }
    case "required":
      source.report(
        "MISSING_KEY",
        keys,
        `${keys.length === 0 ? "the manifest" : name} has no \`${text(error, "missingProperty")}\``,
        "add it",
      );
      return;
    case "enum":
    case "const": {
      const allowed = Array.isArray(error.schema) ? error.schema.map(String) : [String(error.schema)];
      const near = suggest(String(error.data), allowed);
      const hint = near === undefined || allowed.length === 1 ? undefined : `did you mean ${near}?`;
      source.report("WRONG_VALUE", keys, `${name} must be ${allowed.join(", ").replace(/, ([^,]*)$/, " or $1")}`, hint);
      return;
    }
    case "minLength":
      source.report("WRONG_VALUE", keys, `${name} is empty`, "write a value, or leave the key out");
      return;
    case "minimum":
      source.report("WRONG_VALUE", keys, `${name} must be at least ${String(error.schema)}`);
      return;
    default: {
      const wanted = Array.isArray(error.schema) ? error.schema.join(" or ") : String(error.schema);
      const isText = error.schema === "string" && (typeof error.data === "number" || typeof error.data === "boolean");
      const article = wanted === "array" ? "a list" : wanted === "object" ? "a mapping" : `a ${wanted}`;
      source.report(
        "WRONG_TYPE",
        keys,
        `${name} must be ${article}, not ${typeName(error.data)}`,
        isText ? `put it in quotes${source.isHidden(keys) ? "" : `: ${quoted(String(error.data))}`}` : undefined,
      );
    }
  }
}

/** `files[2].path` for people. */
export function describe(keys: Keys): string {
  return (
    keys
      .map((key, index) => (typeof key === "number" ? `[${key}]` : `${index === 0 ? "" : "."}${shortened(key)}`))
      .join("") || "the manifest"
  );
}

function keysOf(pointer: string): Keys {
  return pointer
    .split("/")
    .slice(1)
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"))
    .map((part, index, parts) =>
      /^\d+$/.test(part) && index > 0 && lists.has(parts[index - 1] ?? "") ? Number(part) : part,
    );
}

const lists = new Set([
  "directories",
  "files",
  "trees",
  "links",
  "moves",
  "absent",
  "run",
  "pull",
  "ignore",
  "exclude",
  "onChange",
]);

function typeName(value: unknown): string {
  if (value === null) return "nothing";
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" ? "a mapping" : `a ${typeof value}`;
}

function text(error: ErrorObject, name: string): string {
  const value = record(error.params)[name];
  return typeof value === "string" ? value : "";
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}
