// Lints the programs that run in a session with shellcheck and shfmt. Where one is missing it is said; in CI it fails.
import { spawnSync } from "node:child_process";
import { programFiles } from "./programs.mjs";

const files = programFiles(".sh");
const checks = [
  ["shellcheck", "--shell=sh", ...files],
  ["shfmt", "-p", "-i", "2", "-ci", process.argv.includes("--write") ? "-w" : "-d", ...files],
];
for (const [command, ...args] of checks) {
  const { error, status } = spawnSync(command, args, { stdio: "inherit" });
  if (error !== undefined) {
    console.error(
      `${command} is not installed: the programs of src/**/*.sh were not checked by it (apt-get install ${command})`,
    );
    if (process.env.CI !== undefined) process.exitCode = 1;
  } else if (status !== 0) process.exitCode = 1;
}
