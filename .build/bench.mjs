// Bundles and runs the bench: `npm run bench -- --files 1000 --latency 50`.
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import { build } from "esbuild";

const outfile = "test/bench/results/bench.mjs";
mkdirSync("test/bench/results", { recursive: true });
await build({
  entryPoints: ["test/bench/bench.ts"],
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node20.19",
  packages: "external",
  outfile,
});
const { status } = spawnSync(process.execPath, [outfile, ...process.argv.slice(2)], { stdio: "inherit" });
rmSync(outfile, { force: true });
process.exitCode = status ?? 1;
