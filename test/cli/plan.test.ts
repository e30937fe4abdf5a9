import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { run } from "../helpers/cli.ts";
import { layOut, temporaryDirectory } from "../helpers/workspace.ts";

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

describe("plan --diff", () => {
  const manifest = `version: 1
root: /w
files:
  - { path: text.txt, content: "declared\\n" }
  - { path: .env, content: "PIN=\${env.PIN}\\n", sensitive: true }
  - { path: place, content: x }
  - { path: old.txt, content: "once declared\\n" }
`;

  it("shows conflicts from the session's version to the declared one, and nothing sensitive", async () => {
    const cwd = temporaryDirectory();
    layOut(cwd, { "agb-sync.yaml": manifest });
    const env = { PIN: "2468" };
    await run(["apply", "--local"], { cwd, env });
    const root = join(cwd, ".agb-sync/local/w");
    writeFileSync(join(root, "text.txt"), "of the \u001b[31msession\n");
    writeFileSync(join(root, ".env"), "PIN=1357, of the session\n");
    writeFileSync(join(root, "old.txt"), "a secret once\n");
    rmSync(join(root, "place"));
    mkdirSync(join(root, "place/sub"), { recursive: true });
    writeFileSync(join(cwd, "agb-sync.yaml"), manifest.replace(/.*old\.txt.*\n/, ""));
    const { stdout } = await run(["plan", "--local", "--diff"], { cwd, env });
    const [, ...diffs] = stdout.split("Nothing to apply: 4 conflicts left alone.\n\n");
    expect(diffs.join().trimEnd().split("\n\n").toSorted()).toEqual([
      "--- session/text.txt\n+++ declared/text.txt\n@@ -1,1 +1,1 @@\n-of the \\x1b[31msession\n+declared",
      ".env: sensitive, not shown",
      "old.txt: a file (14 B) in the session, nothing declared",
      "place: a directory in the session, a file (1 B) declared",
    ]);
    expect(stdout).not.toMatch(/1357|2468|once\n/);
  });
});

describe("a saved plan with a secret", () => {
  const manifest =
    'version: 1\nroot: /w\nfiles: [{ path: .pin, content: "${env.PIN}", sensitive: true }, { path: a.txt, content: a }]\n';

  async function saved(pin: string) {
    const cwd = temporaryDirectory();
    layOut(cwd, { "agb-sync.yaml": manifest });
    const env = { PIN: pin };
    expect((await run(["plan", "--local", "--out", "p.json"], { cwd, env })).code).toBe(0);
    return { cwd, text: readFileSync(join(cwd, "p.json"), "utf8") };
  }

  it("holds no digest of it, and the same text each time (S37)", async () => {
    const { cwd, text } = await saved("1234");
    const hex = text.match(/[0-9a-f]{64}/g) ?? [];
    // The one of a.txt, and the sealed one, which is no SHA-256 of the content or of the tree.
    expect(hex).toHaveLength(2);
    expect(hex).toContain(sha256("a"));
    expect(text).not.toContain(sha256("1234"));
    await run(["plan", "--local", "--out", "again.json"], { cwd, env: { PIN: "1234" } });
    expect(readFileSync(join(cwd, "again.json"), "utf8")).toBe(text);
  });

  it.each([
    ["1234", 0, /Applied: 2 created/],
    ["1235", 4, /changed since it was made: \.pin\n/],
  ])("is applied with the same secret only: %s", async (pin, code, said) => {
    const { cwd } = await saved("1234");
    const finished = await run(["apply", "p.json", "--local"], { cwd, env: { PIN: pin } });
    expect([finished.code, finished.stdout + finished.stderr]).toEqual([code, expect.stringMatching(said)]);
  });

  it.each([
    ["is deleted", "files: [{ path: a.txt, content: a }]\n", /sealed/],
    ["is no secret any more", "files: [{ path: .pin, content: public }, { path: a.txt, content: a }]\n", /sealed/],
    ["moves", "files: [{ path: .code, content: '1234', sensitive: true }, { path: a.txt, content: a }]\n", /"move"/],
  ])("hides it also when it %s", async (_what, files, text) => {
    const { cwd } = await saved("1234");
    await run(["apply", "--local"], { cwd, env: { PIN: "1234" } });
    writeFileSync(join(cwd, "agb-sync.yaml"), `version: 1\nroot: /w\n${files}`);
    const { stdout } = await run(["plan", "--local", "--out", "p.json", "--json", "--diff"], { cwd });
    const plan = readFileSync(join(cwd, "p.json"), "utf8");
    expect(plan).toMatch(text);
    expect(plan + stdout).not.toContain(sha256("1234"));
    const { code } = await run(["apply", "p.json", "--local"], { cwd });
    expect(code).toBe(0);
  });

  it("is refused when the secret in the session has changed", async () => {
    const { cwd } = await saved("1234");
    await run(["apply", "--local"], { cwd, env: { PIN: "1111" } });
    await run(["plan", "--local", "--out", "p.json"], { cwd, env: { PIN: "1234" } });
    await run(["apply", "--local"], { cwd, env: { PIN: "2222" } });
    const { code, stderr } = await run(["apply", "p.json", "--local"], { cwd, env: { PIN: "1234" } });
    expect([code, stderr]).toEqual([4, expect.stringMatching(/changed since it was made: \.pin\n/)]);
  });
});
