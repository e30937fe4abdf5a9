import type { ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Action } from "../../src/emulator/session/action.ts";
import type { EmulatorOptions } from "../../src/emulator/session/emulator-options.ts";
import { startEmulator } from "../../src/emulator/start-emulator.ts";
import { run, start, waitForLine } from "../helpers/cli.ts";
import { sharedEmulator } from "../helpers/kinds.ts";
import { layOut, temporaryDirectory } from "../helpers/workspace.ts";
import { jsonLines } from "./json-lines.ts";

const manifest = (more = "") =>
  `version: 1\nsession: { image: i }\nroot: /tmp/workspace\nfiles: [{ path: a.txt, content: "hello\\n" }]\n${more}`;

/** A project and an emulator of its own account, so that its sessions can be counted. */
async function project(options: EmulatorOptions = {}, text = manifest()) {
  const emulator = await startEmulator({ transferPolls: 1, ...options });
  onTestFinished(async () => await emulator.close());
  const cwd = temporaryDirectory();
  layOut(cwd, { "agb-sync.yaml": text });
  const env = { AGB_API_KEY: emulator.apiKey, AGB_ENDPOINT: emulator.url };
  const cli = async (...args: string[]) => await run(args, { cwd, env });
  const live = async () =>
    jsonLines((await cli("session", "list", "--json")).stdout).map(({ sessionId }) => String(sessionId));
  const begin = (...args: string[]) => start(args, { cwd, env });
  return { emulator, cwd, env, cli, live, begin };
}

/** Until it prints that, then what it prints and how it ends. */
async function signalled(child: ChildProcess, signal: NodeJS.Signals, after = /^begun$/) {
  await waitForLine(child, after);
  child.kill(signal);
  const [code] = await once(child, "exit");
  return code;
}

const places = [
  { name: "embedded", where: ["--local"] },
  { name: "a session that is created for it", where: [] },
] as const;

describe.each(places)("agb-sync run: $name", ({ where }) => {
  it.each<{ name: string; words: string[]; code: number; stdout?: string; stderr?: RegExp; options?: string[] }>([
    { name: "0", words: ["cat", "a.txt"], code: 0, stdout: "hello\n" },
    {
      name: "other than 0",
      words: ["sh", "-c", "printf b; printf c >&2; exit 7"],
      code: 7,
      stdout: "b",
      stderr: /^c/m,
    },
    { name: "one of agb-sync's own", words: ["sh", "-c", "exit 69"], code: 69, stdout: "" },
    { name: "a signal", words: ["sh", "-c", "kill -9 $$"], code: 137, stdout: "" },
    { name: "no such program", words: ["no-such-program"], code: 127, stdout: "", stderr: /not found/ },
    {
      name: "out of time",
      words: ["sleep", "60"],
      code: 124,
      options: ["--timeout", "300ms"],
      stderr: /longer than 300ms/,
    },
    {
      name: "words as they are",
      words: ["printf", "%s|", "--", "a b", "$(x)", "-h", "--json"],
      code: 0,
      stdout: "--|a b|$(x)|-h|--json|",
    },
    {
      name: "variables",
      words: ["sh", "-c", 'printf %s "$A$B"'],
      code: 0,
      options: ["--env", "A=x=y", "--env", "B='"],
      stdout: "x=y'",
    },
    {
      name: "a directory that is not there",
      words: ["true"],
      code: 1,
      options: ["--cwd", "nope"],
      stderr: /cannot run in nope: it is not there/,
    },
  ])(
    "carries the end of the command: $name",
    async ({ words, code, stdout, stderr = /Applied: 1 created/, options = [] }) => {
      const { cli, live } = await project();
      const done = await cli("run", ...where, ...options, "--", ...words);
      expect(done).toMatchObject({ code, stdout: stdout ?? "", stderr: expect.stringMatching(stderr) });
      expect(await live()).toEqual([]);
    },
  );

  it("shows what is printed while it runs, and takes no input", async () => {
    const { cwd, begin, emulator, live } = await project();
    const script = "cat; echo begun; until [ -f go ]; do sleep 0.05; done; echo done";
    const child = begin("run", ...where, "--", "sh", "-c", script);
    await waitForLine(child, /^begun$/);
    const [id] = await live();
    const files = id === undefined ? join(cwd, ".agb-sync/local") : emulator.sessionRoot(id);
    writeFileSync(join(files, "tmp/workspace/go"), "");
    expect(await once(child, "exit")).toEqual([0, null]);
    expect(await live()).toEqual([]);
  });

  it.each<[NodeJS.Signals, number]>([
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ])("%s ends the command with all that it started, and releases the session", async (signal, code) => {
    const { cwd, begin, live } = await project();
    const script = `trap 'echo ended; exit 0' TERM; (sleep 50; echo late) & echo begun; wait`;
    const child = begin("run", ...where, "--", "sh", "-c", script);
    let errors = "";
    child.stderr?.on("data", (chunk) => (errors += String(chunk)));
    const seen = waitForLine(child, /^ended$/);
    expect(await signalled(child, signal)).toBe(code);
    expect(await seen).toBe("ended");
    expect(errors).toMatch(/stopping; once more to leave at once[^]*interrupted; the command was ended/);
    expect(await live()).toEqual([]);
    expect(existsSync(join(cwd, ".agb-sync/local/tmp/workspace/.agb-sync/lock"))).toBe(false);
  });

  it("is of the published schema, with bytes as they are, and says whose the exit code is", async () => {
    const { cli } = await project();
    const { stdout, code } = await cli("run", ...where, "--json", "--", "sh", "-c", "printf 'é\\377'; exit 5");
    const lines = jsonLines(stdout);
    const bytes = lines
      .filter(({ type }) => type === "command-output")
      .map(({ data, encoding }) => Buffer.from(String(data), encoding === "base64" ? "base64" : "utf8"));
    expect(Buffer.concat(bytes).toString("latin1")).toBe(Buffer.from("é").toString("latin1") + "\u00ff");
    expect(lines.at(-1)).toMatchObject({ type: "run", failedBy: "command", commandExitCode: 5, exitCode: code });
    const failed = await cli("run", ...where, "--json", "--cwd", "nope", "--", "true");
    expect(jsonLines(failed.stdout).at(-1)).toMatchObject({ type: "error", code: "NOT_FOUND", exitCode: 1 });
  });

  it("brings a line of any length, and stops when nobody reads it", async () => {
    const { begin, live } = await project();
    const megabytes = process.env["CRASH_MATRIX"] === "full" ? [20, 100] : [3];
    for (const size of megabytes) {
      const script = `head -c ${size}000000 /dev/zero | tr '\\0' x`;
      const child = begin("run", ...where, "--", "sh", "-c", script);
      const hash = createHash("sha256");
      child.stdout?.on("data", (chunk: Buffer) => hash.update(chunk));
      expect(await once(child, "close")).toEqual([0, null]);
      expect(hash.digest("hex")).toBe(
        createHash("sha256")
          .update("x".repeat(size * 1_000_000))
          .digest("hex"),
      );
    }
    const child = begin("run", ...where, "--", "yes");
    await waitForLine(child, /^y$/);
    child.stdout?.destroy();
    expect(await once(child, "exit")).toEqual([143, null]);
    expect(await live()).toEqual([]);
  });
});

describe("the session of agb-sync run", () => {
  it.each<{ name: string; text: string; code: number; stderr: RegExp }>([
    { name: "a missing source", text: manifest("trees: [{ source: nope, path: t }]\n"), code: 65, stderr: /nope/ },
    {
      name: "a command of run: that fails",
      text: manifest("run: [{ command: exit 3 }]\n"),
      code: 1,
      stderr: /was not run/,
    },
    { name: "a bad manifest", text: "version: 2\n", code: 65, stderr: /problem/ },
  ])("is not there afterwards: $name", async ({ text, code, stderr }) => {
    const { cli, live } = await project({}, text);
    const done = await cli("run", "--", "echo", "ran");
    expect(done).toMatchObject({ code, stdout: "", stderr: expect.stringMatching(stderr) });
    expect(await live()).toEqual([]);
  });

  it("is released where it has no shell, before anything is written", async () => {
    const { emulator, cli, live } = await project({ missingTools: ["shell", "run_code"] });
    const done = await cli("run", "--", "true");
    expect(done).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/no shell tool[^]*use an image with a shell/),
    });
    expect(emulator.requests.filter(({ tool }) => /write|create_dir/.test(tool ?? ""))).toEqual([]);
    expect(await live()).toEqual([]);
  });

  it("is kept with --keep and can be used again, and one that was there is released with --rm only", async () => {
    const { cli, live } = await project();
    const kept = await cli("run", "--keep", "--", "sh", "-c", "echo x >made; exit 3");
    const [id = ""] = await live();
    expect([kept.code, kept.stderr]).toEqual([3, expect.stringContaining(`agb-sync run --session ${id} -- COMMAND`)]);
    expect(await cli("run", "--session", id, "--", "cat", "made")).toMatchObject({ code: 0, stdout: "x\n" });
    // Nobody may take what was kept on purpose for a left-over.
    await cli("session", "prune", "--yes", "--older-than", "0s");
    expect(await live()).toEqual([id]);
    expect(await cli("run", "--session", id, "--rm", "--", "false")).toMatchObject({ code: 1 });
    expect(await live()).toEqual([]);
    expect(await cli("run", "--keep", "--rm", "--", "true")).toMatchObject({ code: 64 });
  });

  it("found by its name is left alone", async () => {
    const { cli, live } = await project({}, manifest().replace("image: i", "image: i, name: demo"));
    await cli("session", "create");
    const before = await live();
    expect(await cli("run", "--", "true")).toMatchObject({ code: 0, stderr: expect.stringContaining("using session") });
    expect(await live()).toEqual(before);
  });

  it("with conflicts does not see the command, unless somebody says so", async () => {
    const { emulator, cli, live } = await project();
    await cli("run", "--keep", "--", "true");
    const [id = ""] = await live();
    const file = join(emulator.sessionRoot(id), "tmp/workspace/a.txt");
    writeFileSync(file, "foreign");
    const refused = await cli("run", "--session", id, "--", "echo", "ran");
    expect(refused).toMatchObject({
      code: 3,
      stdout: "",
      stderr: expect.stringMatching(/was not run: conflicts are left/),
    });
    expect(await cli("run", "--session", id, "--on-conflict", "skip", "--", "cat", "a.txt")).toMatchObject({
      code: 0,
      stdout: "foreign",
    });
    expect(await cli("run", "--session", id, "--on-conflict", "overwrite", "--", "cat", "a.txt")).toMatchObject({
      code: 0,
      stdout: "hello\n",
    });
  });

  it("that ends under the command is told as gone", async () => {
    const { emulator, begin, live } = await project();
    const child = begin("run", "--", "sh", "-c", "echo begun; sleep 60");
    const errors = text(child.stderr ?? process.stdin);
    await waitForLine(child, /^begun$/);
    const [id = ""] = await live();
    // Listened for first: it may be over before the emulator has answered.
    const ended = once(child, "exit");
    await emulator.expireSession(id);
    expect(await ended).toEqual([69, null]);
    expect(await errors).toMatch(/session/);
  });

  it.each<[string, number]>([
    ["is still under way", 700],
    ["has not begun", 0],
  ])("is not left when the signal comes while its creation %s", async (_name, delayMs) => {
    let tellAsked = () => undefined as void;
    const asked = new Promise<void>((resolve) => (tellAsked = resolve));
    const { begin, live } = await project({
      onRequest: ({ path }) => {
        if (!path.includes("createSession")) return undefined;
        tellAsked();
        return delayMs === 0 ? undefined : { delayMs };
      },
    });
    const child = begin("run", "--", "true");
    await asked;
    child.kill("SIGINT");
    expect(await once(child, "exit")).toEqual([130, null]);
    expect(await live()).toEqual([]);
  });

  it("loses and repeats nothing over a connection that drops in the middle", async () => {
    const actions: readonly Action[] = ["drop-before", "drop-after", "truncate", "cut", { status: 503 }];
    let requests = 0;
    const { cli, live } = await project({
      onRequest: ({ tool }) => {
        requests += tool === undefined ? 0 : 1;
        return tool !== undefined && requests > 12 && requests % 5 === 0 ? actions[(requests / 5) % 5] : undefined;
      },
    });
    const script = "echo once >>ran; seq 1 60000; sleep 0.3; seq 1 60000; cat ran >&2; exit 5";
    const { code, stdout, stderr } = await cli("run", "--", "sh", "-c", script);
    expect([code, stderr.match(/^once$/gm)?.length]).toEqual([5, 1]);
    const seq = Array.from({ length: 60_000 }, (_, index) => `${index + 1}\n`).join("");
    expect(stdout).toBe(seq + seq);
    expect(await live()).toEqual([]);
  });

  it("given up by a second signal, says what may be left", async () => {
    const { begin, live } = await project();
    const child = begin("run", "--", "sh", "-c", "trap '' TERM; echo begun; while :; do sleep 1; done");
    let errors = "";
    child.stderr?.on("data", (chunk) => (errors += String(chunk)));
    await waitForLine(child, /^begun$/);
    const stopping = waitForLine(child, /^stopping/);
    child.kill("SIGINT");
    await stopping;
    child.kill("SIGINT");
    await once(child, "close");
    const [id = ""] = await live();
    expect(errors).toContain(`agb-sync session delete ${id}`);
  });
});

describe("agb-sync session prune", () => {
  it("releases what killed clients left, and neither what others use nor what is kept", async () => {
    const { cli, live, begin } = await project();
    await cli("session", "create", "--image", "i");
    const [own = ""] = await live();
    const other = begin("run", "--", "sh", "-c", "echo begun; sleep 60");
    await waitForLine(other, /^begun$/);
    const used = (await live()).filter((id) => id !== own);
    const killed = begin("run", "--", "sh", "-c", "echo begun; sleep 60");
    await signalled(killed, "SIGKILL");
    expect((await live()).length).toBe(3);
    const pruned = await cli("session", "prune", "--older-than", "0s", "--yes", "--json");
    expect(pruned.code).toBe(0);
    expect(jsonLines(pruned.stdout)).toMatchObject([{ type: "session", outcome: "deleted" }]);
    expect((await live()).toSorted()).toEqual([own, ...used].toSorted());
    expect(await cli("session", "prune")).toMatchObject({ code: 0, stderr: expect.stringMatching(/no left-over/) });
  });

  it("takes the age for what clients on other machines made", async () => {
    const { emulator, cli, live } = await project();
    const labels = JSON.stringify({ "agb-sync/run": "1", "agb-sync/client": `${"0".repeat(16)}_1` });
    const created = Math.floor(Date.now() / 1000) - 600;
    const all = JSON.stringify({ ...JSON.parse(labels), "agb-sync/create": `${created}_x_i` });
    await fetch(`${emulator.url}/mcp/createSession?imageId=i`, {
      method: "POST",
      headers: { authorization: `Bearer ${emulator.apiKey}`, "content-type": "application/json" },
      body: JSON.stringify({ labels: all }),
    });
    expect((await cli("session", "prune", "--yes")).stderr).toMatch(/10 min old/);
    expect((await live()).length).toBe(1);
    expect((await cli("session", "prune", "--yes", "--older-than", "9m")).code).toBe(0);
    expect(await live()).toEqual([]);
  });
});

describe("a wrong command line of agb-sync run", () => {
  it.each<[string, string[], RegExp]>([
    ["no command", ["run"], /no command to run\nhint: write it behind --/],
    ["nothing behind --", ["run", "--"], /no command to run/],
    ["an absolute directory", ["run", "--cwd", "/etc", "--", "true"], /--cwd "\/etc" is absolute/],
    ["a directory outside", ["run", "--cwd", "a/../..", "--", "true"], /--cwd .* could leave root/],
    ["a variable without a value", ["run", "--env", "A", "--", "true"], /--env A is not/],
    ["a secret in a wrong variable", ["run", "--env", "1A=hidden", "--", "true"], /--env 1A=\.\.\. is not/],
    ["no time", ["run", "--timeout", "0s", "--", "true"], /--timeout 0/],
  ])("is told before anything is made: %s", async (_name, args, stderr) => {
    const { url, apiKey } = await sharedEmulator();
    const cwd = temporaryDirectory();
    layOut(cwd, { "agb-sync.yaml": manifest() });
    const done = await run(args, { cwd, env: { AGB_API_KEY: apiKey, AGB_ENDPOINT: url } });
    expect(done).toMatchObject({ code: 64, stdout: "", stderr: expect.stringMatching(stderr) });
    expect(done.stderr).not.toContain("hidden");
    expect(readFileSync(join(cwd, "agb-sync.yaml"), "utf8")).toBe(manifest());
  });
});
