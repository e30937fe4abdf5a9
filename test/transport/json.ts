/** The value of a key of whatever came; undefined when it is no object. */
export function fieldOf(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  return Object.entries(value).find(([key]) => key === name)?.[1];
}

/** Text, or nothing. */
export function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
