// Builds dist/: the command line (everything bundled, one chunk a command) and the library (dependencies stay imports).
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { build } from "esbuild";

const { version, dependencies } = JSON.parse(readFileSync("package.json", "utf8"));
rmSync("dist", { recursive: true, force: true });
mkdirSync("dist/bin", { recursive: true });

const shared = {
  bundle: true,
  platform: "node",
  target: "node20.19",
  format: "esm",
  logLevel: "warning",
  // Bundled CommonJS packages still call require for Node's own modules.
  banner: {
    js: 'import { createRequire as agbSyncRequire } from "node:module"; const require = agbSyncRequire(import.meta.url);',
  },
  define: { AGB_SYNC_VERSION: JSON.stringify(version) },
};
const cli = await build({
  ...shared,
  entryPoints: { main: "src/cli/main.ts" },
  outdir: "dist/cli",
  splitting: true,
  metafile: true,
  // The whole of undici costs twice the start-up time of the part that is used.
  alias: { undici: resolve(".build/undici-slim.mjs") },
});
const library = await build({
  ...shared,
  entryPoints: { index: "src/index.ts" },
  outdir: "dist",
  external: Object.keys(dependencies),
  splitting: true,
  metafile: true,
});

// A CommonJS launcher: --version answers without loading the ESM loader.
writeFileSync(
  "dist/bin/agb-sync.cjs",
  `#!/usr/bin/env node
"use strict";
if (process.argv.length === 3 && (process.argv[2] === "--version" || process.argv[2] === "-V")) {
  process.stdout.write(${JSON.stringify(`${version}\n`)});
} else {
  require("node:module").enableCompileCache?.();
  import("../cli/main.js").then((cli) => cli.main(process.argv.slice(2)));
}
`,
  { mode: 0o755 },
);
writeFileSync(
  "dist/THIRD_PARTY_NOTICES.txt",
  notices([cli, library].flatMap(({ metafile }) => Object.keys(metafile.inputs))),
);

/** The licence texts of every package that is bundled. */
function notices(inputs) {
  const packages = new Set(inputs.flatMap((input) => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1] ?? []));
  return [...packages]
    .toSorted()
    .map((name) => {
      const about = JSON.parse(readFileSync(`node_modules/${name}/package.json`, "utf8"));
      const text = ["LICENSE", "LICENSE.md", "LICENSE-MIT", "license", "LICENSE.txt"].flatMap((file) => {
        try {
          return [readFileSync(`node_modules/${name}/${file}`, "utf8")];
        } catch {
          return [];
        }
      })[0];
      return `${name} ${about.version} (${about.license})\n\n${text ?? ""}`;
    })
    .join(`\n${"-".repeat(80)}\n\n`);
}
