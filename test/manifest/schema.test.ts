import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Ajv } from "ajv";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { temporaryDirectory } from "../helpers/workspace.ts";

const top = fileURLToPath(new URL("../..", import.meta.url));
const schema = JSON.parse(readFileSync(join(top, "schemas/manifest.schema.json"), "utf8"));
const validate = new Ajv({ allErrors: true, allowUnionTypes: true }).compile(schema);

/** What an editor says of a manifest: where, and by which keyword. */
function told(text: string): readonly string[] {
  validate(parse(`version: 1\n${text}`));
  return (validate.errors ?? []).map(({ instancePath, keyword }) => `${instancePath} ${keyword}`);
}

describe("the schema, in an editor", () => {
  it.each([
    "root: /tmp/w\nfiles: [{ path: a, content: '' }, { path: b, source: s, template: true }]\n",
    'root: "${vars.root}"\nfiles: [{ path: a, content: x, mode: "${vars.mode}" }]\n',
    'root: /tmp/w\nfiles: [{ path: a, content: x, mode: 0644 }, { path: b, content: x, mode: "0o755" }]\n',
    'root: /tmp/w\nsession: { idleTimeout: 10m }\nrun: [{ command: ls, timeout: "${env.T:-5}s" }]\n',
  ])("says nothing of %j", (text) => {
    expect(told(text)).toEqual([]);
  });

  it.each([
    ["root: tmp\n", ["/root pattern"]],
    ["root: /w\nfiles: [{ path: a }]\n", ["/files/0 required", "/files/0 if"]],
    [
      "root: /w\nfiles: [{ path: a, content: x, source: y }]\n",
      ["/files/0/source false schema", "/files/0/content false schema"],
    ],
    // What is still to come is not offered.
    ["root: /w\nfiles: [{ path: a, content: x, url: u }]\n", ["/files/0 additionalProperties"]],
    ["root: /w\nsession: { count: 2 }\n", ["/session additionalProperties"]],
    ['root: /w\ndirectories: [{ path: a, mode: "0999" }]\n', expect.arrayContaining(["/directories/0/mode pattern"])],
    ["root: /w\nrun: [{ command: ls, timeout: 5 min }]\n", ["/run/0/timeout pattern"]],
  ])("tells what is wrong with %j", (text, errors) => {
    expect(told(text)).toEqual(errors);
  });

  it("explains every key, with one title for all of it", () => {
    const bare: string[] = [];
    const titles: string[] = [];
    const visit = (part: object, place: string) => {
      for (const [key, value] of Object.entries(part)) {
        if (typeof value !== "object" || value === null) continue;
        if (key === "properties" && !/\/(?:if|then|dependencies)\//.test(`${place}/`)) {
          for (const [name, one] of Object.entries(value))
            if (!("description" in Object(one))) bare.push(`${place}/${name}`);
        }
        if ("title" in value && key !== "properties") titles.push(`${place}/${key}`);
        visit(value, `${place}/${key}`);
      }
    };
    visit(schema, "");
    expect([bare, titles, schema.title]).toEqual([[], [], "agb-sync manifest"]);
  });

  it("is what the type of a manifest is made from", () => {
    const made = join(temporaryDirectory(), "manifest-file.ts");
    execFileSync(process.execPath, [join(top, ".build/generate-types.mjs"), made]);
    expect(readFileSync(join(top, "src/manifest/manifest-file.ts"), "utf8")).toBe(readFileSync(made, "utf8"));
  });
});
