// Writes src/manifest/manifest-file.ts, the shape of a manifest as written; run after the schema has changed.
import { writeFileSync } from "node:fs";
import { compile } from "json-schema-to-typescript";
import { completeSchema } from "./complete-schema.mjs";

const schema = completeSchema();
const text = await compile(schema, "ManifestFile", {
  additionalProperties: false,
  bannerComment: "// Made from schemas/manifest.schema.json by `npm run generate:types`.",
  style: { printWidth: 120 },
});
const target = process.argv[2] ?? new URL("../src/manifest/manifest-file.ts", import.meta.url);
writeFileSync(target, text);
