import { execFileSync } from "node:child_process";
import { chmodSync } from "node:fs";
import { expect, it } from "vitest";
import { cliPath } from "../helpers/cli.ts";
import { layOut, temporaryDirectory } from "../helpers/workspace.ts";

/** A number that no passwd knows, where the tests may take one on. */
const nameless = process.getuid?.() === 0 ? { uid: 54_321, gid: 54_321 } : {};

it.each([undefined, "/", "/proc", "/proc/self", "/dev/null", "relative", ""])(
  "works for a user without a name whose HOME is %j",
  (home) => {
    const cwd = temporaryDirectory();
    layOut(cwd, { "agb-sync.yaml": "version: 1\nroot: /tmp/workspace\nfiles: [{ path: a, content: a }]\n" });
    chmodSync(cwd, 0o777);
    const env = home === undefined ? {} : { HOME: home };
    const args = [cliPath, "apply", "--local"];
    const stdout = execFileSync(process.execPath, args, {
      cwd,
      ...nameless,
      env,
      encoding: "utf8",
      stdio: "pipe",
      timeout: 20_000,
      killSignal: "SIGKILL",
    });
    expect(stdout).toContain("Applied: 1 created");
  },
);
