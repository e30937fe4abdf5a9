import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import type { LoadOptions } from "../../src/desired/load-manifest.ts";
import { loadManifest } from "../../src/desired/load-manifest.ts";
import { ManifestError } from "../../src/manifest/manifest-error.ts";
import { layOut, temporaryDirectory } from "../helpers/workspace.ts";
import { asNobody } from "./as-nobody.ts";

const head = "version: 1\nroot: /tmp/w\n";

/** `line:column CODE message | hint` of every problem, the directory left out. */
async function problemsIn(cwd: string, text: string, more: Partial<LoadOptions> = {}): Promise<readonly string[]> {
  writeFileSync(join(cwd, "agb-sync.yaml"), head + text);
  try {
    await loadManifest(undefined, { cwd, env: {}, ...more });
    return [];
  } catch (error) {
    if (!(error instanceof ManifestError) || error.code !== "MANIFEST_INVALID") throw error;
    return error.problems.map(({ line, column, code, message, hint }) =>
      `${line}:${column} ${code} ${message} | ${hint ?? ""}`.replaceAll(`${cwd}/`, ""),
    );
  }
}

describe("the sources of a manifest", () => {
  it("are all told of that are missing or of another kind, with everything else that is wrong", async () => {
    const cwd = temporaryDirectory();
    layOut(cwd, { "scripts/run.sh": "x", file: "x", "tree/a": "x", gone: { link: "nowhere" }, loop: { link: "loop" } });
    execFileSync("mkfifo", [join(cwd, "fifo")]);
    await listenAt(join(cwd, "socket"));
    const problems = await problemsIn(
      cwd,
      `files:
  - { path: a, source: scripts/runn.sh, mode: 9 }
  - { path: b, source: tree }
  - { path: c, source: fifo }
  - { path: d, source: socket }
  - { path: e, source: /dev/null }
  - { path: f, source: file/below }
  - { path: g, source: gone, template: true }
  - { path: h, source: loop }
  - { path: i, source: "nul\\0" }
  - { path: ok, source: ./scripts/../scripts/run.sh }
trees:
  - { path: t, source: file }
  - { path: u, source: absent }
  - { path: v, source: fifo }
  - { path: w, source: tree }
`,
    );
    expect(problems).toEqual([
      "4:24 SOURCE_MISSING the source scripts/runn.sh is not there | create it, or correct `source`; did you mean run.sh?",
      expect.stringMatching(/^4:47 BAD_MODE/),
      "5:24 SOURCE_MISSING the source tree is a directory | declare directories under `trees`",
      "6:24 SOURCE_MISSING the source fifo is a FIFO | name a file that can be read again and again",
      "7:24 SOURCE_MISSING the source socket is a socket | name a file that can be read again and again",
      "8:24 SOURCE_MISSING the source /dev/null is a device | name a file that can be read again and again",
      "9:24 SOURCE_MISSING the source file/below is not there | create it, or correct `source`",
      "10:24 SOURCE_MISSING the source gone is a link to nothing | create it, or correct `source`",
      "11:24 SOURCE_MISSING the source loop is a link that leads in a circle | create it, or correct `source`",
      expect.stringMatching(/^12:24 SOURCE_MISSING the source nul.* is not there/),
      "15:24 SOURCE_MISSING the tree file is not a directory | declare a single file under `files`",
      "16:24 SOURCE_MISSING the tree absent is not there | create it, or correct `source`",
      "17:24 SOURCE_MISSING the tree fifo is a FIFO | name a directory that can be read again and again",
    ]);
  });

  it("are shown where they are written", async () => {
    const cwd = temporaryDirectory();
    writeFileSync(join(cwd, "agb-sync.yaml"), `${head}trees: [{ path: ., source: "./app" }]\n`);
    await expect(loadManifest(undefined, { cwd, env: {} })).rejects.toThrow(
      `agb-sync.yaml:3:28: the tree ${cwd}/app is not there (SOURCE_MISSING)\n    trees: [{ path: ., source: "./app" }]\n${" ".repeat(31)}^^^^^^^\n`,
    );
  });

  it("are not looked at where nobody wants it, nor where their names wait for something", async () => {
    const cwd = temporaryDirectory();
    const text = "trees: [{ path: ., source: app }]\n";
    expect(await problemsIn(cwd, text)).toHaveLength(1);
    expect(await problemsIn(cwd, text, { checksSources: false })).toEqual([]);
    const waits = 'vars: { id: "${session.id}" }\nfiles: [{ path: a, source: "${vars.id}.txt" }]\n';
    expect(await problemsIn(cwd, waits)).toEqual([]);
    expect(await problemsIn(cwd, waits, { sessionId: "s1" })).toEqual([
      "4:28 SOURCE_MISSING the source s1.txt is not there | create it, or correct `source`",
    ]);
    expect(await problemsIn(cwd, 'files: [{ path: a, source: "${vars.no}" }]\n')).toEqual([
      expect.stringMatching(/^3:29 UNDEFINED_NAME/),
    ]);
  });

  it("are no problem of the manifest when they may not be read", async () => {
    const cwd = temporaryDirectory();
    chmodSync(cwd, 0o755);
    mkdirSync(join(cwd, "closed"));
    layOut(join(cwd, "closed"), { file: "x", "tree/a": "x" });
    symlinkSync("closed/file", join(cwd, "link"));
    chmodSync(join(cwd, "closed"), 0);
    const text =
      "files: [{ path: a, source: closed/file }, { path: b, source: link }]\ntrees: [{ path: t, source: closed/tree }]\n";
    writeFileSync(join(cwd, "agb-sync.yaml"), head + text);
    await expect(asNobody(() => loadManifest(undefined, { cwd, env: {} }))).resolves.toMatchObject({ root: "/tmp/w" });
    chmodSync(join(cwd, "closed"), 0o700);
  });
});

async function listenAt(path: string): Promise<void> {
  const server = createServer().listen(path);
  onTestFinished(() => void server.close());
  await once(server, "listening");
}

describe("the names in a manifest", () => {
  const content = async (cwd: string, text: string, more: Partial<LoadOptions> = {}) => {
    layOut(cwd, { "agb-sync.yaml": `${head}files: [{ path: a, content: "${text}" }]\n` });
    const { files } = await loadManifest(undefined, { cwd, env: {}, ...more });
    return files[0]?.origin.kind === "inline" ? files[0].origin.text : undefined;
  };

  it("come from the environment, then from the files named, the last first, then from the nearest .env", async () => {
    const cwd = temporaryDirectory();
    layOut(cwd, {
      ".env": "A=.env\nB=.env\nC=.env\nD=.env\nconstructor=p\n",
      one: "A=one\nB=one\nC=one",
      two: "A=two\nB=two",
      "below/x": "",
    });
    const text = "${env.A} ${env.B} ${env.C} ${env.D} ${env.constructor} ${env.EMPTY}";
    expect(
      await content(join(cwd, "below"), text, { env: { A: "env", EMPTY: "" }, envFiles: ["../one", "../two"] }),
    ).toBe("env two one .env p ");
    await expect(content(cwd, "", { envFiles: ["nope"] })).resolves.toBe("");
    await expect(content(cwd, "${env.X}", { envFiles: ["nope"] })).rejects.toMatchObject({ code: "USAGE" });
  });

  it("come from what is given instead of `vars`, as it is", async () => {
    const cwd = temporaryDirectory();
    const vars = { a: "${vars.b}", __proto__: "not this one", c: "new" };
    writeFileSync(
      join(cwd, "agb-sync.yaml"),
      `${head}vars: { a: "\${env.NOPE}", b: b, __proto__: p, d: "<\${vars.a}>" }\n`,
    );
    const manifest = await loadManifest(undefined, { cwd, env: {}, vars });
    expect(Object.entries(manifest.variables.vars).toSorted(([one], [other]) => (one < other ? -1 : 1))).toEqual([
      ["__proto__", "p"],
      ["a", "${vars.b}"],
      ["b", "b"],
      ["c", "new"],
      ["d", "<${vars.b}>"],
    ]);
  });

  it("are missed with the reason why .env is left out", async () => {
    const cwd = temporaryDirectory();
    await content(cwd, "");
    writeFileSync(join(cwd, ".env"), "");
    truncateSync(join(cwd, ".env"), 5 * 1024 ** 3);
    writeFileSync(join(cwd, "agb-sync.yaml"), `${head}vars: { a: "\${env.X}" }\n`);
    await expect(loadManifest(undefined, { cwd, env: {} })).rejects.toThrow(
      /set X .*; .*\.env is left out: it is larger/,
    );
    const { variables } = await loadManifest(undefined, { cwd, env: { X: "y" } });
    expect(variables.vars["a"]).toBe("y");
  });
});

describe("the bytes of a manifest", () => {
  it("have to be UTF-8, from a file and from standard input", async () => {
    const cwd = temporaryDirectory();
    const latin = Buffer.from(`${head}vars: { a: caf\xe9 }\n`, "latin1");
    writeFileSync(join(cwd, "m.yaml"), latin);
    const options: LoadOptions = { cwd, env: {}, readStdin: async () => latin };
    await expect(loadManifest("m.yaml", options)).rejects.toThrow("m.yaml:3:15: this is not UTF-8 text (NOT_TEXT)");
    await expect(loadManifest("-", options)).rejects.toThrow("<stdin>:3:15: this is not UTF-8 text (NOT_TEXT)");
  });

  it("may come as text, or with a byte order mark", async () => {
    const cwd = temporaryDirectory();
    for (const input of [head, Buffer.from(`\ufeff${head}`)]) {
      const { file, directory } = await loadManifest("-", { cwd, env: {}, readStdin: async () => input });
      expect([file, directory]).toEqual(["<stdin>", cwd]);
    }
  });
});

describe("the place of a manifest", () => {
  it("is the one that is named, or the nearest above", async () => {
    const cwd = temporaryDirectory();
    layOut(cwd, { "agb-sync.yml": head, "a/b/c": { directory: true }, "a/m.yaml": head });
    const load = async (path: string | undefined, from: string) => {
      const { file, directory } = await loadManifest(path, { cwd: join(cwd, from), env: {} });
      return [file.replace(`${cwd}/`, "/"), directory.replace(cwd, "")];
    };
    expect(await load(undefined, "a/b/c")).toEqual(["/agb-sync.yml", ""]);
    expect(await load("..", "a")).toEqual(["/agb-sync.yml", ""]);
    expect(await load("m.yaml", "a")).toEqual(["m.yaml", "/a"]);
    await expect(loadManifest("none.yaml", { cwd, env: {} })).rejects.toMatchObject({ code: "MANIFEST_NOT_FOUND" });
    await expect(loadManifest("a/b", { cwd, env: {} })).rejects.toMatchObject({ code: "MANIFEST_NOT_FOUND" });
  });

  it.each<[string, (path: string) => unknown, string]>([
    ["a directory", (path) => mkdirSync(path), "is a directory"],
    ["a FIFO", (path) => execFileSync("mkfifo", [path]), "is a FIFO"],
    ["a socket", listenAt, "is a socket"],
    ["a link to nothing", (path) => symlinkSync("nothing", path), "is a link to nothing"],
    ["a link in a circle", (path) => symlinkSync("agb-sync.yaml", path), "is a link that leads in a circle"],
    ["a device", (path) => symlinkSync("/dev/zero", path), "is a device"],
  ])("is not where %s has its name, and neither waits nor hides the one above", async (_kind, make, told) => {
    const cwd = temporaryDirectory();
    layOut(cwd, { "here/x": "" });
    const odd = join(cwd, "here/agb-sync.yaml");
    await make(odd);
    const load = async (path?: string) => await loadManifest(path, { cwd: join(cwd, "here"), env: {} });
    await expect(load()).rejects.toMatchObject({
      code: "MANIFEST_NOT_FOUND",
      message: expect.stringMatching(`no agb-sync.yaml here or in a directory above; .*/agb-sync.yaml ${told}`),
    });
    await expect(load("agb-sync.yaml")).rejects.toMatchObject({
      code: "MANIFEST_NOT_FOUND",
      message: expect.stringMatching(/is |holds no/),
    });
    layOut(cwd, { "agb-sync.yml": head });
    expect((await load()).directory).toBe(cwd);
  });
});
