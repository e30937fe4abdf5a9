import { existsSync } from "node:fs";
import { join } from "node:path";
import { connect } from "../../../src/connect.ts";
import { parseManifest } from "../../../src/manifest/parse-manifest.ts";
import { apply } from "../../../src/reconcile/apply-plan.ts";

// Mirrors `directory`/source into the embedded session `local` and prints what became of each step. With `dieAt` it kills
// itself when the first event of that kind comes, or the file of that name in the workspace.
const [directory = "", local = "", dieAt = "never"] = process.argv.slice(2);
const { signal } = new AbortController();
const manifest = parseManifest("version: 1\nroot: /tmp/workspace\ntrees: [{ source: source, path: . }]\n", {
  file: "agb-sync.yaml",
  directory,
  env: {},
});

const die = () => process.kill(process.pid, "SIGKILL");
setInterval(() => {
  if (existsSync(join(local, "tmp/workspace", dieAt))) die();
}, 1).unref();

async function main(): Promise<void> {
  const session = await connect({ local, env: {}, cwd: "/", signal });
  const report = await apply(manifest, session, {
    strategy: "batch",
    onConflict: "overwrite",
    allowMassDelete: true,
    onEvent: ({ type }) => {
      if (type === dieAt) die();
    },
    signal,
  });
  process.stdout.write(JSON.stringify(report.outcomes.map(({ result }) => result.status)));
}
void main();
