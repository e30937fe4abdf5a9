import { isScalar } from "yaml";

/** The name that a key of a YAML mapping stands for; undefined for one that is no plain text. */
export function keyName(key: unknown): string | undefined {
  const value = isScalar(key) ? key.value : undefined;
  if (typeof value === "string") return value;
  return typeof value === "number" || typeof value === "boolean" ? String(value) : undefined;
}
