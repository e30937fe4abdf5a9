import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { connect } from "../../src/connect.ts";
import { parseManifest } from "../../src/manifest/parse-manifest.ts";
import { apply } from "../../src/reconcile/apply-plan.ts";
import { PlainClient, perFileLoop, type Service, startRsync, tarballRecipe } from "./contenders.ts";
import { chartOf, type Row, tableOf } from "./render-results.ts";
import { watchBench } from "./watch-bench.ts";

const { values } = parseArgs({
  options: {
    latency: { type: "string", default: "0,20,50,150" },
    files: { type: "string", default: "100,1000,10000" },
    "transfer-lag": { type: "string", default: "200ms" },
    rounds: { type: "string", default: "3" },
    large: { type: "boolean", default: false },
    "no-remote": { type: "boolean", default: false },
    watch: { type: "boolean", default: false },
  },
});
const numbers = (text: string) => text.split(",").map(Number);
const rounds = Number(values.rounds);
const signal = new AbortController().signal;
const work = mkdtempSync(join(tmpdir(), "agb-sync-bench-"));
const rows: Row[] = [];
let peakBytes = 0;
const watchMemory = setInterval(() => (peakBytes = Math.max(peakBytes, process.memoryUsage().rss)), 20);

function makeTree(directory: string, files: number, sizeBytes: number): void {
  rmSync(directory, { recursive: true, force: true });
  for (let index = 0; index < files; index += 1) {
    const folder = join(directory, `d${index % Math.ceil(files / 20)}`);
    mkdirSync(folder, { recursive: true });
    const seed = createHash("sha256").update(`${index}`).digest("hex");
    writeFileSync(join(folder, `f${index}.txt`), seed.repeat(Math.ceil(sizeBytes / 64)).slice(0, sizeBytes));
  }
}

const manifestFor = (source: string) =>
  parseManifest(
    `version: 1\nroot: /tmp/workspace\nprune: managed\ntrees: [{ source: ${JSON.stringify(source)}, path: . }]\n`,
    {
      file: "bench.yaml",
      directory: "/",
      env: {},
    },
  );

type Measured = { readonly ms: number; readonly requests: number; readonly bytes: number };

async function timed(run: () => Promise<{ readonly requests: number; readonly bytes: number }>): Promise<Measured> {
  const startedMs = performance.now();
  const cost = await run();
  return { ms: performance.now() - startedMs, ...cost };
}

function note(row: Omit<Row, "ms" | "requests" | "bytes">, measured: readonly Measured[]): void {
  const sorted = measured.toSorted((one, other) => one.ms - other.ms);
  const median = sorted[Math.floor(sorted.length / 2)];
  if (median === undefined) return;
  rows.push({ ...row, ...median });
  process.stderr.write(
    `${row.tree} ${row.latencyMs} ms ${row.scenario} ${row.contender}: ${Math.round(median.ms)} ms, ${median.requests} requests\n`,
  );
}

type Target = { env: Record<string, string> } | { local: string };

/** One apply by the strategy, in a session that is known; connecting is not counted, as no contender does it. */
async function applyOnce(
  source: string,
  target: Target,
  sessionId: string | undefined,
  strategy: "batch" | "steps" | "auto",
) {
  const session = await connect({
    cwd: "/",
    env: {},
    ...target,
    ...(sessionId === undefined ? { spec: { image: "agb-code-space-1", labels: {} } } : { sessionId }),
    signal,
  });
  const { counters } = session.openWorkspace("/tmp/workspace").transport;
  const before = { ...counters };
  const measured = await timed(async () => {
    const report = await apply(manifestFor(source), session, {
      strategy,
      signal,
      allowMassDelete: true,
      cacheDirectory: join(work, "cache"),
    });
    if (report.outcomes.some(({ result }) => result.status !== "applied"))
      throw new Error("the apply was not complete");
    return {
      requests: counters.requests - before.requests,
      bytes: counters.bytesSent + counters.bytesReceived - before.bytesSent - before.bytesReceived,
    };
  });
  await session.close();
  return { measured, sessionId: session.id };
}

const scenarios = ["fresh", "no-op", "one file", "1 % changed", "100 % moved"] as const;

function change(source: string, scenario: (typeof scenarios)[number], round: number): void {
  const folders = readdirSync(source).toSorted();
  if (scenario === "one file") writeFileSync(join(source, folders[0] ?? "", "changed"), `round ${round}`);
  if (scenario === "1 % changed") {
    const files = folders.flatMap((folder) =>
      readdirSync(join(source, folder)).map((file) => join(source, folder, file)),
    );
    files.filter((_, index) => index % 100 === 0).forEach((file) => writeFileSync(file, `round ${round} ${file}`));
  }
  if (scenario === "100 % moved")
    for (const folder of folders) renameSync(join(source, folder), join(source, `${folder}m`));
}

async function ours(
  tree: string,
  source: string,
  target: Target,
  latencyMs: number,
  strategy: "batch" | "steps" | "auto",
  kind: string,
) {
  for (const scenario of scenarios) {
    const measured: Measured[] = [];
    const copy = join(work, "copy");
    rmSync(copy, { recursive: true, force: true });
    cpSync(source, copy, { recursive: true });
    let sessionId: string | undefined;
    for (let round = 0; round < rounds; round += 1) {
      if ("local" in target && scenario === "fresh") rmSync(target.local, { recursive: true, force: true });
      if (scenario !== "fresh" && (round === 0 || sessionId === undefined)) {
        if ("local" in target) rmSync(target.local, { recursive: true, force: true });
        sessionId = (await applyOnce(copy, target, undefined, "auto")).sessionId;
      }
      // Nothing is known of a tree that is applied for the first time.
      if (scenario === "fresh") rmSync(join(work, "cache"), { recursive: true, force: true });
      change(copy, scenario, round);
      measured.push(
        (await applyOnce(copy, target, scenario === "fresh" || "local" in target ? undefined : sessionId, strategy))
          .measured,
      );
    }
    note({ tree, latencyMs, scenario, contender: kind }, measured);
  }
}

async function rsyncLike(
  tree: string,
  source: string,
  latencyMs: number,
  contender: string,
  sync: (from: string, name: string) => Promise<void>,
) {
  for (const scenario of scenarios) {
    const measured: Measured[] = [];
    const copy = join(work, "copy");
    rmSync(copy, { recursive: true, force: true });
    cpSync(source, copy, { recursive: true, preserveTimestamps: true });
    if (scenario !== "fresh") await sync(copy, `${contender}-${scenario}-${tree}`);
    for (let round = 0; round < rounds; round += 1) {
      change(copy, scenario, round);
      const name = scenario === "fresh" ? `${contender}-${tree}-${round}` : `${contender}-${scenario}-${tree}`;
      measured.push(
        await timed(async () => {
          await sync(copy, name);
          return { requests: 0, bytes: 0 };
        }),
      );
    }
    note({ tree, latencyMs, scenario, contender }, measured);
  }
}

async function remote(tree: string, source: string, files: number, latencyMs: number): Promise<void> {
  const cli = resolve("dist/bin/agb-sync.cjs");
  const emulator = spawn(
    process.execPath,
    [cli, "emulator", "--api-key", "bench", "--latency", `${latencyMs}ms`, "--transfer-lag", values["transfer-lag"]],
    {
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  try {
    const [first] = await once(emulator.stdout, "data");
    const service: Service = { url: /http:\S+/.exec(String(first))?.[0] ?? "", apiKey: "bench" };
    const target = { env: { AGB_API_KEY: service.apiKey, AGB_ENDPOINT: service.url } };
    await ours(tree, source, target, latencyMs, "batch", "agb-sync batch");
    if (files <= 100) await ours(tree, source, target, latencyMs, "steps", "agb-sync steps");
    const once16 = async (width: number) =>
      await timed(async () => ({ requests: await perFileLoop(service, source, "/tmp/workspace", width), bytes: 0 }));
    if (files <= 100) note({ tree, latencyMs, scenario: "fresh", contender: "one file at a time" }, [await once16(1)]);
    if (files <= 1000) note({ tree, latencyMs, scenario: "fresh", contender: "sixteen at a time" }, [await once16(16)]);
    const recipe: Measured[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const sessionId = await new PlainClient(service).createSession();
      recipe.push(
        await timed(async () => ({
          requests: await tarballRecipe(service, source, "/tmp/workspace", sessionId),
          bytes: 0,
        })),
      );
    }
    note({ tree, latencyMs, scenario: "fresh", contender: "tarball recipe" }, recipe);
    const daemonDirectory = join(work, `rsyncd-${tree}-${latencyMs}`.replaceAll(" ", "-"));
    mkdirSync(daemonDirectory, { recursive: true });
    const rsync = await startRsync(daemonDirectory, latencyMs);
    if (rsync !== undefined) {
      await rsyncLike(tree, source, latencyMs, "rsync daemon", rsync.sync);
      rsync.close();
    }
    rmSync(daemonDirectory, { recursive: true, force: true });
  } finally {
    emulator.kill("SIGTERM");
    await once(emulator, "close");
  }
}

async function embedded(tree: string, source: string): Promise<void> {
  await ours(tree, source, { local: join(work, "local") }, 0, "auto", "agb-sync --local");
  const into = (command: string, args: readonly string[]) => async (from: string, name: string) => {
    const to = join(work, "copies", name.replaceAll(" ", "-"));
    mkdirSync(to, { recursive: true });
    execFileSync(command, [...args, `${from}/.`, to]);
  };
  try {
    await rsyncLike(tree, source, 0, "rsync -a", into("rsync", ["-a", "--delete"]));
  } catch {
    process.stderr.write("rsync is not installed: left out\n");
  }
  await rsyncLike(tree, source, 0, "cp -a", into("cp", ["-a"]));
  rmSync(join(work, "copies"), { recursive: true, force: true });
}

async function compare(): Promise<void> {
  const trees = [
    ...numbers(values.files).map((files) => ({ name: `${files} files`, files, sizeBytes: 2000 })),
    ...(values.large
      ? [
          { name: "50000 files", files: 50_000, sizeBytes: 2000 },
          { name: "20 x 20 MB", files: 20, sizeBytes: 20_000_000 },
        ]
      : []),
  ];
  for (const { name, files, sizeBytes } of trees) {
    const source = join(work, "source");
    makeTree(source, files, sizeBytes);
    await embedded(name, source);
    if (!values["no-remote"])
      for (const latencyMs of numbers(values.latency)) await remote(name, source, files, latencyMs);
  }
  const results = resolve("test/bench/results");
  mkdirSync(results, { recursive: true });
  writeFileSync(
    join(results, "bench.json"),
    `${JSON.stringify({ node: process.version, peakBytes, rows }, null, 2)}\n`,
  );
  writeFileSync(join(results, "bench.svg"), chartOf(rows));
  process.stdout.write(
    `${tableOf(rows)}\npeak memory of this process over all runs: ${Math.round(peakBytes / 1e6)} MB\n`,
  );
}

try {
  if (values.watch) {
    const options = { saves: 200, files: [1000, 20_000], latencyMs: 20, idleSeconds: 60 };
    const lines = await watchBench({ directory: work, ...options });
    process.stdout.write(`${lines.join("\n")}\n`);
  } else await compare();
} finally {
  clearInterval(watchMemory);
  rmSync(work, { recursive: true, force: true });
}
process.exit(0);
