// Makes what is derived from other files: the ajv validator of schemas/ as plain code, so that no command compiles a schema
// at start, and a module of every program that runs in a session.
import { writeFileSync } from "node:fs";
import { Ajv } from "ajv";
import standalone from "ajv/dist/standalone/index.js";
import { completeSchema } from "./complete-schema.mjs";
import { generatePrograms } from "./programs.mjs";

generatePrograms();

const schema = completeSchema();
const ajv = new Ajv({
  allErrors: true,
  verbose: true,
  allowUnionTypes: true,
  code: { source: true, esm: true, lines: true },
});
const code = standalone.default(ajv, ajv.compile(schema));
// ajv still writes CommonJS requires into ESM code; each becomes an import (the fault is known and open there).
const imports = [];
const module = code.replaceAll(/require\("([^"]+)"\)\.default/g, (_, name) => {
  imports.push(`import * as runtime${imports.length} from "${name}.js";`);
  return `(runtime${imports.length - 1}.default.default ?? runtime${imports.length - 1}.default)`;
});
if (module.includes("require(")) throw new Error("the generated validator still has a require");
writeFileSync(
  new URL("../src/manifest/validate-manifest.generated.js", import.meta.url),
  [...imports, module].join("\n"),
);
