import { readFileSync } from "node:fs";
import { Ajv } from "ajv";

const schema = JSON.parse(readFileSync(new URL("../../schemas/events.schema.json", import.meta.url), "utf8"));
const validate = new Ajv({ strict: false, validateFormats: false }).compile(schema);

/** Every line of `--json` output, each checked against the published schema. @throws with the line that is not of it. */
export function jsonLines(stdout: string): readonly Record<string, unknown>[] {
  const texts = stdout.split("\n");
  if (texts.pop() !== "") throw new Error(`the last line has no end: ${stdout}`);
  return texts.map((text) => {
    const line: unknown = JSON.parse(text);
    if (!validate(line)) throw new Error(`${text}\n${JSON.stringify(validate.errors)}`);
    return { ...(typeof line === "object" ? line : {}) };
  });
}

/** Whether the schema has room for this line. */
export function isOfSchema(line: unknown): boolean {
  return validate(line);
}
