// Builds dist/: the command line (everything bundled, a chunk for each command and for what several share) and the library
// (dependencies stay imports).
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { build, transform } from "esbuild";

const { version, dependencies } = JSON.parse(readFileSync("package.json", "utf8"));
rmSync("dist", { recursive: true, force: true });
mkdirSync("dist/bin", { recursive: true });

const shared = {
  bundle: true,
  platform: "node",
  target: "node20.19",
  format: "esm",
  splitting: true,
  metafile: true,
  logLevel: "warning",
  define: { AGB_SYNC_VERSION: JSON.stringify(version) },
};

/** commander asks for this at start, for subcommands that are programs of their own; there are none. */
const withoutChildProcess = {
  name: "without-child-process",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^node:child_process$/ }, ({ importer }) =>
      /node_modules\/commander\//.test(importer) ? { path: "none", namespace: "none" } : undefined,
    );
    onLoad({ filter: /^none$/, namespace: "none" }, () => ({ contents: "" }));
  },
};
const cli = await build({
  ...shared,
  entryPoints: { main: "src/cli/program/main.ts" },
  outdir: "dist/cli",
  // What a command does not need is not even parsed: each part of undici and each comment costs start-up time.
  minifySyntax: true,
  minifyWhitespace: true,
  alias: {
    undici: resolve(".build/undici-slim.mjs"),
    // The same sources as ES modules, which the bundler joins into one scope: loaded in half the time.
    yaml: resolve("node_modules/yaml/browser/dist/index.js"),
  },
  plugins: [withoutChildProcess],
  write: false,
});
// The chunks become CommonJS: Node 20 spends 10 ms on its loader of ES modules before the first of them runs.
mkdirSync("dist/cli", { recursive: true });
for (const { path, text } of cli.outputFiles) {
  const { code } = await transform(text, {
    format: "cjs",
    platform: "node",
    target: shared.target,
    minifyWhitespace: true,
    supported: { "dynamic-import": false },
  });
  writeFileSync(path, code);
}
writeFileSync("dist/cli/package.json", '{ "type": "commonjs" }\n');

const library = await build({
  ...shared,
  entryPoints: { index: "src/index.ts" },
  outdir: "dist",
  external: Object.keys(dependencies),
  // Bundled CommonJS packages still call require for Node's own modules.
  banner: {
    js: 'import { createRequire as agbSyncRequire } from "node:module"; const require = agbSyncRequire(import.meta.url);',
  },
});

writeFileSync(
  "dist/bin/agb-sync.cjs",
  `#!/usr/bin/env node
"use strict";
if (process.argv.length === 3 && (process.argv[2] === "--version" || process.argv[2] === "-V")) {
  process.stdout.write(${JSON.stringify(`${version}\n`)});
} else {
  require("node:module").enableCompileCache?.();
  require("../cli/main.js").main(process.argv.slice(2));
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
      const texts = readdirSync(`node_modules/${name}`)
        .filter((file) => /^(licen[cs]e|notice)/i.test(file))
        .toSorted()
        .map((file) => readFileSync(`node_modules/${name}/${file}`, "utf8").trim());
      if (texts.length === 0) throw new Error(`${name} is bundled and has no licence text`);
      return `${name} ${about.version} (${about.license})\n\n${texts.join("\n\n")}\n`;
    })
    .join(`\n${"-".repeat(80)}\n\n`);
}
