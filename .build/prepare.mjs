// `npm ci` in a clone leaves a command line that runs. What is packed and published is made by `prepack`, which has run.
import { execFileSync } from "node:child_process";

if (process.env.npm_command !== "pack" && process.env.npm_command !== "publish") {
  execFileSync("npm", ["run", "--silent", "build"], { stdio: "inherit", shell: process.platform === "win32" });
}
