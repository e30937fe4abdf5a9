import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { constants, gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import type { EmulatorOptions } from "../../src/emulator/session/emulator-options.ts";
import { startEmulator } from "../../src/emulator/start-emulator.ts";
import { run, start } from "../helpers/cli.ts";
import { layOut, temporaryDirectory } from "../helpers/workspace.ts";

const SECRET = "s3cr3t/value+xyz";
/** Bytes that no file tool may take as text, so that they go another way. */
const BINARY = Buffer.concat([Buffer.from([0, 13, 255]), Buffer.from(SECRET), Buffer.from([0])]);
const MANIFEST = `version: 1
root: /tmp/workspace
files:
  - { path: .env, content: "TOKEN=\${env.TOKEN}\\n", sensitive: true }
  - { path: key.bin, source: key.bin, sensitive: true }
  - { path: plain, content: plain }
`;

/** Ways in which the secret could be written. */
const forms = [
  SECRET,
  Buffer.from(SECRET).toString("base64").slice(0, 16),
  BINARY.toString("base64").slice(0, 16),
  Buffer.from(`TOKEN=${SECRET}`).toString("base64").slice(0, 16),
];
const isIn = (text: string) => forms.some((form) => text.includes(form));

/** What the archives in a command hold, as text; a binary secret counts as the other. */
function unpacked(command: string): string {
  return [...command.matchAll(/H4sI[A-Za-z0-9+/=]{40,}/g)]
    .map(([archive]) => gunzipSync(Buffer.from(archive, "base64"), { finishFlush: constants.Z_SYNC_FLUSH }))
    .map((bytes) => bytes.toString("latin1") + (bytes.includes(BINARY) ? SECRET : ""))
    .join("\n");
}

/** What every process of this machine was started with, but the names and values of its environment. */
function commandLines(): string {
  if (process.platform !== "linux") return "";
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => {
      try {
        return readFileSync(`/proc/${name}/cmdline`, "utf8");
      } catch {
        return "";
      }
    })
    .join("\n");
}

const kinds: Readonly<Record<string, { readonly options: EmulatorOptions; readonly args: readonly string[] }>> = {
  batch: { options: {}, args: ["--strategy", "batch"] },
  "steps with a shell": { options: {}, args: ["--strategy", "steps"] },
  "steps without a shell": { options: { missingTools: ["shell", "run_code"] }, args: ["--strategy", "steps"] },
};

describe.each(Object.entries(kinds))("what is sensitive, %s", (_name, { options, args }) => {
  it("is in no command, no process list and no word of agb-sync (S29, S35)", async () => {
    const seen: string[] = [];
    const emulator = await startEmulator({
      ...options,
      onRequest: ({ tool, args: given }) => {
        if (isIn(commandLines())) seen.push("the process list");
        const isCommand = tool === "shell" || tool === "run_code";
        if (isCommand && isIn(JSON.stringify(given) + unpacked(JSON.stringify(given)))) seen.push("a command");
        return undefined;
      },
    });
    try {
      const cwd = temporaryDirectory();
      const hasBinary = options.missingTools?.includes("shell") !== true;
      layOut(join(cwd), { "key.bin": hasBinary ? BINARY : `${SECRET}\n`, "agb-sync.yaml": MANIFEST });
      const env = { AGB_API_KEY: emulator.apiKey, AGB_ENDPOINT: emulator.url, TOKEN: SECRET };
      const made = await run(["session", "create", "--image", "agb-code-space-1", "--json"], { cwd, env });
      const session: unknown = JSON.parse(made.stdout.split("\n")[0] ?? "");
      const id =
        typeof session === "object" && session !== null && "sessionId" in session ? String(session.sessionId) : "";
      const said: string[] = [];
      const go = async (...words: readonly string[]) => {
        const { code, stdout, stderr } = await run([...words, "--session", id, "--debug"], { cwd, env });
        said.push(stdout, stderr);
        return code;
      };
      expect(await go("apply", "--yes", ...args), said.join("\n")).toBe(0);
      const root = join(emulator.sessionRoot(id), "tmp/workspace");
      expect(readFileSync(join(root, ".env"), "utf8")).toBe(`TOKEN=${SECRET}\n`);
      writeFileSync(join(root, ".env"), `TOKEN=${SECRET}, edited\n`);
      await go("plan", "--diff", "-v");
      expect(await go("apply", "--yes", ...args)).toBe(3);
      expect(await go("apply", "--yes", "--on-conflict", "overwrite", ...args)).toBe(0);
      expect(said.filter(isIn)).toEqual([]);
      expect(seen).toEqual([]);
      const state = ["base.json", "index.1", "index.2", "index.3"].map((name) => join(root, ".agb-sync", name));
      expect(state.filter((file) => existsSync(file) && isIn(readFileSync(file, "utf8")))).toEqual([]);
    } finally {
      await emulator.close();
    }
  });
});

describe("watch", () => {
  it("shows nothing that is sensitive, in events and in errors (S35)", async () => {
    const cwd = temporaryDirectory();
    layOut(cwd, {
      "agb-sync.yaml": `${MANIFEST}run: [{ command: "cat .env >&2" }]\n`,
      "key.bin": BINARY,
    });
    const child = start(["watch", "--local", "--json", "--debug"], { cwd, env: { TOKEN: SECRET } });
    let said = "";
    for (const stream of [child.stdout, child.stderr]) stream?.on("data", (chunk) => (said += String(chunk)));
    const has = (word: string) => () => said.includes(word);
    await expect.poll(has('"ready"'), { timeout: 20_000, interval: 20 }).toBe(true);
    const cycles = () => said.split('"cycle"').length;
    const before = cycles();
    writeFileSync(join(cwd, "agb-sync.yaml"), MANIFEST.replace("plain, content: plain", "plain, content: other"));
    await expect.poll(cycles, { timeout: 20_000, interval: 20 }).toBeGreaterThan(before);
    const length = said.length;
    writeFileSync(join(cwd, "agb-sync.yaml"), MANIFEST.replace("sensitive: true }", `sensitive: ${SECRET} }`));
    await expect.poll(() => said.length, { timeout: 20_000, interval: 20 }).toBeGreaterThan(length);
    expect(isIn(commandLines())).toBe(false);
    expect(isIn(said), said).toBe(false);
  });
});
