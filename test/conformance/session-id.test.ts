import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { apply } from "../../src/reconcile/apply-plan.ts";
import { drift } from "../../src/reconcile/drift.ts";
import { makePlan } from "../../src/reconcile/make-plan.ts";
import { run, start, waitForLine } from "../helpers/cli.ts";
import { kinds, sharedEmulator } from "../helpers/kinds.ts";
import { layOut, manifestOf, temporaryDirectory } from "../helpers/workspace.ts";

const { signal } = new AbortController();
const template = "files: [{ path: id.txt, source: t.tmpl, template: true }]\n";
const everywhere = `${template}vars: { v: "\${session.id}" }
run: [{ command: "echo \${vars.v} > ran" }]
links: [{ path: here, target: "\${vars.v}.d" }]
directories: [{ path: "\${session.id}.d" }]
`;

describe.each(kinds)("$name", ({ strategy, isFull, open }) => {
  it("puts the id of the session wherever it is asked for, although nobody knew it when the manifest was read", async () => {
    const { session, rootDirectory } = await open();
    const directory = temporaryDirectory();
    layOut(directory, { "t.tmpl": "<${session.id}>" });
    const options = { strategy, signal } as const;
    for (const text of isFull ? [template, everywhere] : [template]) {
      const manifest = manifestOf(directory, text);
      await apply(manifest, session, options);
      expect(readFileSync(join(rootDirectory, "id.txt"), "utf8")).toBe(`<${session.id}>`);
      expect((await makePlan(manifest, session, options)).plan.steps).toEqual([]);
      expect((await drift(manifest, session, options)).map(({ path }) => path)).toEqual([]);
    }
    const ran = isFull ? readFileSync(join(rootDirectory, "ran"), "utf8") : `${session.id}\n`;
    expect(ran).toBe(`${session.id}\n`);
  });
});

describe("${session.id} on the command line", () => {
  const project = (text: string) => {
    const cwd = temporaryDirectory();
    layOut(cwd, { "agb-sync.yaml": `version: 1\nroot: /tmp/workspace\n${text}`, "t.tmpl": "<${session.id}>" });
    return cwd;
  };

  it.each([template, everywhere])("has no value in validate, and no digest is made without it", async (text) => {
    const cwd = project(text);
    const { code, stdout } = await run(["validate"], { cwd });
    expect([code, stdout]).toEqual([0, expect.stringMatching(/waits for the session's id \(line 3.*no digest/)]);
    const { digest, waiting } = JSON.parse((await run(["validate", "--json"], { cwd })).stdout);
    expect([digest, waiting[0]]).toEqual([null, 3]);
  });

  it.each(["apply", "watch"])("is that of the session that %s makes", async (command) => {
    const emulator = await sharedEmulator();
    const env = { AGB_API_KEY: emulator.apiKey, AGB_ENDPOINT: emulator.url };
    const cwd = project(`session: { name: of-${command} }\n${everywhere}`);
    const child = start([command], { cwd, env });
    await waitForLine(child, /^(Ready|Applied)/);
    child.kill("SIGTERM");
    const { stdout } = await run(["session", "create"], { cwd, env });
    const id = stdout.trim();
    const root = join(emulator.sessionRoot(id), "tmp/workspace");
    expect(readFileSync(join(root, "id.txt"), "utf8")).toBe(`<${id}>`);
    expect((await run(["verify"], { cwd, env })).code).toBe(0);
    expect((await run(["status"], { cwd, env })).code).toBe(0);
  });

  it("is that of a local session, in the root too", async () => {
    const cwd = project(template.replace("files", "vars: {}\nfiles"));
    layOut(join(cwd, "rooted"), {
      "agb-sync.yaml": `version: 1\nroot: /tmp/\${session.id}\n${template}`,
      "t.tmpl": "${session.id}",
    });
    const at = { cwd: join(cwd, "rooted") };
    expect((await run(["apply", "--local"], at)).code).toBe(0);
    for (const command of [["status"], ["verify"], ["unlock"], ["backups", "list"]]) {
      expect([command, (await run([...command, "--local"], at)).code]).toEqual([command, 0]);
    }
  });
});
