import type { ErrorObject } from "ajv";
import type { Problem } from "./manifest-error.ts";
import type { Keys } from "./manifest-tree.ts";
import { quoted, shortened } from "./quoted.ts";
import { suggest } from "./suggest.ts";

/** Where in the manifest the schema is not met. */
export function keysOf({ instancePath }: ErrorObject): Keys {
  return instancePath
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

/**
 * The errors that nobody else tells of. The schema holds more, for editors: what goes with what in a file, and how a
 * root, a mode, a duration and a digest are written; buildManifest says of these what to write instead.
 */
export function ownErrors(errors: readonly ErrorObject[]): readonly ErrorObject[] {
  const written = new Set(errors.filter(({ keyword }) => keyword === "pattern").map((error) => error.instancePath));
  return errors.filter(({ keyword, schemaPath, instancePath }) => {
    const isForEditors = editorKeywords.has(keyword) || schemaPath.includes("/then/");
    return !isForEditors && !written.has(instancePath);
  });
}

const editorKeywords = new Set(["pattern", "dependencies", "false schema", "if"]);

/** The key that is not known, and those that are. */
export function unknownKey(
  error: ErrorObject,
): { readonly key: string; readonly known: readonly string[] } | undefined {
  if (error.keyword !== "additionalProperties") return undefined;
  const properties = Object.entries(record(error.parentSchema?.["properties"]));
  // What is to come has a comment that says so; nobody should be led to it.
  const works = properties.filter(([, schema]) => record(schema)["$comment"] !== "not supported yet");
  return { key: text(error, "additionalProperty"), known: works.map(([name]) => name) };
}

/** The key that is missing. */
export function missingKey(error: ErrorObject): string | undefined {
  return error.keyword === "required" ? text(error, "missingProperty") : undefined;
}

/** `files[2].path` for people. */
export function describe(keys: Keys): string {
  const parts = keys.map((key, index) => {
    return typeof key === "number" ? `[${key}]` : `${index === 0 ? "" : "."}${shortened(key)}`;
  });
  return parts.join("") || "the manifest";
}

type ValueProblem = Pick<Problem, "code" | "message" | "hint">;

/** What is wrong with a value, and what to write instead. `isHidden`: it must not be repeated. */
export function describeValue(error: ErrorObject, isHidden: boolean): ValueProblem {
  const keys = keysOf(error);
  const name = describe(keys);
  switch (error.keyword) {
    case "enum":
    case "const":
      return describeChoice(error, name);
    case "minLength":
      return { code: "WRONG_VALUE", message: `${name} is empty`, hint: "write a value, or leave the key out" };
    case "minimum": {
      const least = String(error.schema);
      return { code: "WRONG_VALUE", message: `${name} must be at least ${least}`, hint: `write ${least} or more` };
    }
    default: {
      const wanted = Array.isArray(error.schema) ? error.schema.join(" or ") : String(error.schema);
      const message = `${name} must be ${typeNames[wanted] ?? `a ${wanted}`}, not ${typeName(error.data)}`;
      return { code: "WRONG_TYPE", message, hint: typeHint(error, keys, isHidden) };
    }
  }
}

const typeNames: Readonly<Record<string, string>> = { array: "a list", object: "a mapping", integer: "a whole number" };

function describeChoice(error: ErrorObject, name: string): ValueProblem {
  const allowed = Array.isArray(error.schema) ? error.schema.map(String) : [String(error.schema)];
  const [only] = allowed.length === 1 ? allowed : [];
  const near = suggest(String(error.data), allowed);
  const message = `${name} must be ${allowed.join(", ").replace(/, ([^,]*)$/, " or $1")}`;
  const hint = only !== undefined ? `write ${name}: ${only}` : near !== undefined ? `did you mean ${near}?` : undefined;
  return { code: "WRONG_VALUE", message, ...(hint === undefined ? {} : { hint }) };
}

function typeHint({ schema, parentSchema, data }: ErrorObject, keys: Keys, isHidden: boolean): string {
  const key = keys.at(-1);
  if (key === "mode") return 'write three or four octal digits in quotes, such as "0755"';
  if ((key === "timeout" || key === "idleTimeout") && typeof data === "number") {
    return `write it with its unit: "${data}m" or "${data}s"`;
  }
  if (schema === "array") return 'write a list: each entry on a line that begins with "- "';
  if (schema === "object") {
    const [first = "name"] = Object.keys(record(parentSchema?.["properties"]));
    return `write a mapping, such as { ${first}: ... }`;
  }
  if (schema === "boolean") return "write true or false";
  if (schema === "integer") return "write a whole number";
  if (isEndless(data)) return "write it in quotes for the text as it stands, or a number that ends";
  if (data === null) return "write a value, or leave the key out";
  if (typeof data !== "number" && typeof data !== "boolean") return "write a single value";
  return isHidden ? "put it in quotes" : `put it in quotes: ${quoted(String(data))}`;
}

function typeName(value: unknown): string {
  if (value === null) return "nothing";
  if (Array.isArray(value)) return "a list";
  if (isEndless(value)) return Number.isNaN(value) ? "NaN" : "an infinite number";
  return typeof value === "object" ? "a mapping" : `a ${typeof value}`;
}

/** What YAML calls a number and JSON does not: `.inf`, `.nan`, and what is too large for a number. */
function isEndless(value: unknown): boolean {
  return typeof value === "number" && !Number.isFinite(value);
}

function text(error: ErrorObject, name: string): string {
  const value = record(error.params)[name];
  return typeof value === "string" ? value : "";
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}
