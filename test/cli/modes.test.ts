import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { layOut, temporaryDirectory } from "../helpers/workspace.ts";
import { giveToNobody, runAsNobody } from "./as-nobody.ts";

const odd = `version: 1
root: /tmp/workspace
directories: [{ path: d, mode: "2775" }, { path: d/e }, { path: ro, mode: "0555" }, { path: st, mode: "1777" }]
files:
  - { path: d/e/f, content: x }
  - { path: ro/f, content: x }
  - { path: su, content: x, mode: "4755" }
  - { path: r, content: x, mode: "0400" }
`;

it.each(["batch", "steps"])("odd modes of what somebody owns who is not root hold, by %s", async (strategy) => {
  const cwd = temporaryDirectory();
  layOut(cwd, { "agb-sync.yaml": odd });
  giveToNobody(cwd);
  const local = ["--local", "--strategy", strategy];
  expect(await runAsNobody(["apply", ...local], cwd)).toMatchObject({
    code: 0,
    stderr: expect.stringMatching(/^the files are in .*\n$/),
  });
  expect((await runAsNobody(["plan", "--exit-code", ...local], cwd)).code).toBe(0);
  writeFileSync(join(cwd, "agb-sync.yaml"), odd.replace("ro/f, content: x", "ro/g, content: y"));
  expect((await runAsNobody(["apply", ...local], cwd)).code).toBe(0);
  expect((await runAsNobody(["verify", ...local], cwd)).code).toBe(0);
  writeFileSync(join(cwd, "agb-sync.yaml"), odd.replace('"0400"', '"0200"'));
  expect(await runAsNobody(["apply", ...local], cwd)).toMatchObject({
    code: 65,
    stderr: expect.stringContaining("8:34: mode 0200 leaves its owner unable to read the file"),
  });
});
