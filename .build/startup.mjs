// Measures start-up beside bare node, in paired rounds of random order: `node .build/startup.mjs [rounds]`. The lower
// quartile counts; NODE_EXTRA_CA_CERTS is left out, as it costs every process of Node 20 some 37 ms.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const rounds = Number(process.argv[2] ?? 20);
const cwd = mkdtempSync(join(tmpdir(), "agb-sync-startup-"));
writeFileSync(
  join(cwd, "agb-sync.yaml"),
  'version: 1\nroot: /tmp/workspace\nfiles: [{ path: a.txt, content: "a\\n" }]\n',
);
const cli = resolve("dist/bin/agb-sync.cjs");
const commands = {
  "node -e 0": ["-e", "0"],
  "--version": [cli, "--version"],
  "--help": [cli, "--help"],
  "plan --local": [cli, "plan", "--local"],
};
const timesMs = Object.fromEntries(Object.keys(commands).map((name) => [name, []]));
for (let round = 0; round < rounds; round += 1) {
  for (const name of Object.keys(commands).toSorted(() => Math.random() - 0.5)) {
    const startedMs = performance.now();
    const { status } = spawnSync(process.execPath, commands[name], { cwd, env: { PATH: process.env.PATH, HOME: cwd } });
    if (status !== 0) throw new Error(`${name} ended with ${status}`);
    timesMs[name].push(performance.now() - startedMs);
  }
}
rmSync(cwd, { recursive: true });
const quartile = (values) => values.toSorted((one, other) => one - other)[Math.floor(values.length / 4)];
const bareMs = quartile(timesMs["node -e 0"]);
for (const [name, values] of Object.entries(timesMs)) {
  const ms = quartile(values);
  process.stdout.write(`${name.padEnd(14)} ${ms.toFixed(1).padStart(6)} ms  ${(ms / bareMs).toFixed(2)}x\n`);
}
