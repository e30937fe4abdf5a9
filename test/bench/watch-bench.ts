import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as wait } from "node:timers/promises";

const cli = resolve("dist/bin/agb-sync.cjs");

export type WatchBenchOptions = {
  /** A directory to work in, which is removed. */
  readonly directory: string;
  readonly saves: number;
  /** Sizes of the trees that are watched while nothing happens. */
  readonly files: readonly number[];
  readonly latencyMs: number;
  readonly idleSeconds: number;
};

/** Measures the built command line: saves of one file among a hundred, and trees at rest. Gives lines to print. */
export async function watchBench(options: WatchBenchOptions): Promise<readonly string[]> {
  const lines = [await saves(options)];
  for (const files of options.files) lines.push(await rest(options, files));
  return lines;
}

/** How long from the close of a file until the session holds it. */
async function saves({ directory, saves: count, latencyMs }: WatchBenchOptions): Promise<string> {
  await using bed = await makeBed(join(directory, "saves"), 100, latencyMs);
  await bed.watch();
  const [source, target] = [join(bed.source, "d1/f1"), join(bed.workspace(), "d1/f1")];
  const times: number[] = [];
  for (let save = 0; save < count; save += 1) {
    const text = `save ${save}\n`;
    writeFileSync(source, text);
    const startedMs = performance.now();
    while (readIfThere(target) !== text) await wait(1);
    times.push(performance.now() - startedMs);
    // Long enough for the cycle to end, and never in step with anything.
    await wait(300 + Math.random() * 100);
  }
  times.sort((one, other) => one - other);
  const at = (part: number) => Math.round(times[Math.min(times.length - 1, Math.floor(times.length * part))] ?? 0);
  return `${count} saves at ${latencyMs} ms: median ${at(0.5)} ms, p95 ${at(0.95)} ms (the quiet time is 50 ms of it)`;
}

async function rest({ directory, latencyMs, idleSeconds }: WatchBenchOptions, files: number): Promise<string> {
  await using bed = await makeBed(join(directory, "rest"), files, latencyMs);
  await bed.run("apply");
  const noOpMs = await bed.run("apply");
  const startedMs = performance.now();
  const watching = await bed.watch();
  const readyMs = performance.now() - startedMs;
  // What the start left to do (collecting its garbage, the first look at everything) is over then.
  await wait(3000);
  const before = cpuMs(watching);
  await wait(idleSeconds * 1000);
  const share = (cpuMs(watching) - before) / (idleSeconds * 10);
  const peak = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${watching.pid}/status`, "utf8"))?.[1];
  return [
    `${files} files: ready in ${Math.round(readyMs)} ms (a no-op apply: ${Math.round(noOpMs)} ms)`,
    `${share.toFixed(2)} % of a core over ${idleSeconds} s of rest`,
    `peak memory ${Math.round(Number(peak) / 1000)} MB`,
  ].join(", ");
}

/** A source, an emulator in a process of its own, and commands over them. */
async function makeBed(directory: string, files: number, latencyMs: number) {
  rmSync(directory, { recursive: true, force: true });
  const source = join(directory, "source");
  const folders = Math.ceil(files / 20);
  for (let index = 0; index < files; index += 1) {
    const folder = join(source, `d${index % folders}`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `f${index}`), `content ${index}\n`.repeat(50));
  }
  writeFileSync(
    join(directory, "agb-sync.yaml"),
    "version: 1\nroot: /tmp/workspace\nsession: { image: any, name: bench }\ntrees: [{ source: source, path: . }]\n",
  );
  const sessions = join(directory, "emulator");
  const emulator = start(
    directory,
    {},
    "emulator",
    "--api-key",
    "bench",
    "--latency",
    `${latencyMs}ms`,
    "--root",
    sessions,
  );
  const [first] = await once(createInterface({ input: emulator.stdout }), "line");
  const env = { AGB_API_KEY: "bench", AGB_ENDPOINT: /http:\S+/.exec(String(first))?.[0] ?? "" };
  let watching: ChildProcess | undefined;
  return {
    source,
    workspace(): string {
      const [session = ""] = readdirSync(join(sessions, "sessions"));
      return join(sessions, "sessions", session, "tmp/workspace");
    },
    /** How long a command takes, in milliseconds. */
    async run(...args: readonly string[]): Promise<number> {
      const startedMs = performance.now();
      const child = start(directory, env, ...args);
      child.stdout.resume();
      const [code] = await once(child, "exit");
      if (code !== 0) throw new Error(`${args.join(" ")} ended with ${code}`);
      return performance.now() - startedMs;
    },
    /** Starts a watch and waits until it is ready. */
    async watch(): Promise<ChildProcess> {
      const child = start(directory, env, "watch", "--json");
      watching = child;
      const lines = createInterface({ input: child.stdout });
      await new Promise<void>((ready) => lines.on("line", (line) => /"type":"ready"/.test(line) && ready()));
      return child;
    },
    async [Symbol.asyncDispose](): Promise<void> {
      for (const child of [watching, emulator]) {
        if (child === undefined || child.exitCode !== null) continue;
        child.kill("SIGTERM");
        await once(child, "exit");
      }
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function start(cwd: string, env: Readonly<Record<string, string>>, ...args: readonly string[]) {
  return spawn(process.execPath, [cli, ...args], {
    cwd,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "ignore"],
  });
}

function readIfThere(file: string): string | undefined {
  return existsSync(file) ? readFileSync(file, "utf8") : undefined;
}

/** What a process has used of all cores, by proc(5). */
function cpuMs({ pid }: ChildProcess): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}
