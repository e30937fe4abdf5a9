import { existsSync, statSync, writeFileSync } from "node:fs";
import { isAbsolute, join, relative, resolve } from "node:path";
import { connect } from "../connect.ts";
import { loadManifest } from "../desired/load-manifest.ts";
import { nearestDotEnv } from "../environment/env-files.ts";
import { hasCode, UsageError } from "../errors.ts";
import { makeDirectories } from "../make-directories.ts";
import { parseDuration } from "../manifest/duration.ts";
import { forSession } from "../manifest/for-session.ts";
import type { Manifest, SessionSpec } from "../manifest/manifest.ts";
import { parseDeleteLimit } from "../plan/check-guards.ts";
import type { ProgressListener } from "../progress.ts";
import type { ReconcileOptions } from "../reconcile/reconcile-options.ts";
import { printableOutput } from "../run/printable-output.ts";
import type { ConnectOptions, Session } from "../session.ts";
import { BASE_PATH } from "../tree/base.ts";
import { printable } from "../tree/printable.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import type { Given } from "./again.ts";
import { Console } from "./console.ts";
import { eventLine } from "./events.ts";
import { exitCodes } from "./exit-code.ts";
import type { Output } from "./output.ts";
import { describePhase, PhaseCosts } from "./phase-costs.ts";
import type { ProgressView } from "./progress-bar.ts";
import { ProgressBar, ProgressLines } from "./progress-bar.ts";
import type { IsSensitive } from "./public-plan.ts";
import { parseSettlements } from "./settlement-options.ts";

/** The options that commands share, as commander gives them. */
export type CommonOptions = {
  readonly local?: string | true;
  readonly session?: string;
  readonly strategy?: "auto" | "steps" | "batch";
  readonly onConflict?: "skip" | "overwrite" | "keep";
  /** Paths whose conflicts are settled one way, and those settled the other way. */
  readonly overwrite?: readonly string[];
  readonly keep?: readonly string[];
  readonly detectMoves?: boolean;
  readonly backup?: boolean;
  readonly checksum?: boolean;
  readonly allowMassDelete?: boolean;
  readonly maxDelete?: string;
  readonly lockTimeout?: string;
  /** `--locked`, `--no-locked`; undefined: as the environment asks. */
  readonly locked?: boolean;
  /** False: `--no-run`. */
  readonly run?: false | readonly string[];
  readonly concurrency?: string;
  readonly json?: boolean;
};

/** More than that at a time is no use to anybody. */
const MAX_CONCURRENCY = 1000;
/** A timer that is set for longer rings at once. */
const LONGEST_MS = 2 ** 31 - 1;

const DEFAULT_LOCAL = ".agb-sync/local";

/** Where progress goes, and what it has cost so far. */
export type Progress = {
  readonly onEvent: ProgressListener;
  readonly clear: () => void;
  readonly costs: PhaseCosts;
};

/** What one run of the command line has: where it stands, how it prints, and the signal that ends it. */
export class Context {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly console: Console;
  readonly #controller = new AbortController();
  readonly #output: Output;
  readonly #sensitive = new Set<WorkspacePath>();
  /** For whoever talks to the service. */
  readonly onEvent: ProgressListener = (event) => this.#onEvent(event);
  /** What the connection tells before, and without, a progress of the command's own. */
  #onEvent: ProgressListener = (event) => this.#view.onEvent(event);
  #shown: ProgressView | undefined;
  #hasWarned = false;
  #stdin: Promise<Buffer> | undefined;
  /** Set once a signal came: the exit code that it asks for. */
  interruptCode: number | undefined;
  /** What an interruption from now on leaves behind, in one clause. */
  whenInterrupted = "nothing was changed";
  /** What the first signal starts, as it is said then. */
  whenStopping = "stopping after the step in hand; once more to leave at once";
  /** What a second signal may leave behind, in one sentence. */
  whenGivenUp: string | undefined;
  /** Whether nothing is under way that would have to be finished or given up. */
  isIdle: () => boolean = () => false;
  cwd: string;
  /** `--env-file`, in the order given. */
  envFiles: readonly string[] = [];
  /** `--var`: they win over those of the manifest. */
  vars: Readonly<Record<string, string>> = {};
  /** `-C`, as it was given. */
  directory: string | undefined;

  constructor(env: Readonly<Record<string, string | undefined>>, cwd: string, output: Output) {
    this.env = env;
    this.cwd = cwd;
    this.console = new Console(env, output);
    this.#output = output;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The first signal finishes the step in hand; a second one leaves at once. */
  listenForSignals(): void {
    const stop = (code: number) => () => {
      if (this.interruptCode !== undefined) {
        if (this.whenGivenUp !== undefined) this.console.say(this.whenGivenUp);
        process.exit(code);
      }
      this.#stop(code);
    };
    process.on("SIGINT", stop(exitCodes.interrupted)).on("SIGTERM", stop(exitCodes.terminated));
    // The terminal has gone, or the connection to it: nobody is there to see an end, so it must be a clean one.
    process.on("SIGHUP", stop(exitCodes.hungUp));
  }

  /** Ctrl-C at a question, where no step is in hand. */
  interrupt(): void {
    this.interruptCode ??= exitCodes.interrupted;
    this.#controller.abort();
  }

  /** For commands that go on until they are stopped: they stop, as by SIGTERM, when nobody reads them any more. */
  endWithReader(): void {
    this.#output.onReaderGone = () => this.#stop(exitCodes.terminated);
  }

  /** Standard input can be read once only; watch may ask for the manifest in it again. */
  readStdin(): Promise<Buffer> {
    this.#stdin ??= import("node:stream/consumers").then(({ buffer }) => buffer(process.stdin));
    return this.#stdin;
  }

  async loadManifest(
    path: string | undefined,
    sessionId?: string,
    checksSources = sessionId === undefined,
  ): Promise<Manifest> {
    const manifest = await loadManifest(path, {
      cwd: this.cwd,
      env: this.env,
      envFiles: this.envFiles,
      vars: this.vars,
      readStdin: () => this.readStdin(),
      checksSources,
      ...(sessionId === undefined ? {} : { sessionId }),
    });
    if (this.console.isVerbose) this.console.say(`manifest ${printable(manifest.file)}`);
    return this.#heed(manifest);
  }

  /** The manifest as it is meant for one session; from here on its own secrets are hidden too. */
  forSession(manifest: Manifest, sessionId: string): Manifest {
    return this.#heed(forSession(manifest, sessionId));
  }

  /**
   * A manifest for a session. A source that is missing is no fault of the manifest where a session holds what came from
   * it: then the comparison says what would be lost (S12).
   */
  async loadManifestFor(path: string | undefined, options: CommonOptions): Promise<Manifest> {
    try {
      return await this.loadManifest(path);
    } catch (error) {
      if (!hasCode(error, "SOURCE_MISSING", "MANIFEST_INVALID") || path === "-") throw error;
      const manifest = await this.loadManifest(path, undefined, false).catch(() => undefined);
      if (manifest === undefined) throw error;
      const session = await this.connect(manifest, options, false).catch(() => undefined);
      if (session === undefined) throw error;
      const base = session.openWorkspace(forSession(manifest, session.id).root).transport.stat(BASE_PATH, this.signal);
      const isThere = (await base.catch(() => undefined)) !== undefined;
      await session.close();
      if (!isThere) throw error;
      return manifest;
    }
  }

  /** Whether a manifest that was loaded marks the path sensitive. */
  readonly hides: IsSensitive = (path) => this.#sensitive.has(path);

  /**
   * `--local m.yaml` means the manifest, and so does `--local -`: an optional value must not swallow it.
   * @throws {UsageError} for a `--local` that is named like a manifest and is none: no directory is made of a slip.
   */
  sortOut(
    manifest: string | undefined,
    options: CommonOptions,
  ): { manifest: string | undefined; options: CommonOptions } {
    const { local, session } = options;
    checkValues(options);
    if (session === "") throw new UsageError("--session is empty", { hint: "name one: agb-sync session list" });
    if (typeof local !== "string") return { manifest, options };
    if (local === "") throw new UsageError("--local is empty", { hint: "leave the directory out, or name one" });
    if (manifest === undefined && local === "-") return { manifest: local, options: { ...options, local: true } };
    if (!/\.(?:ya?ml|json)$/i.test(local) || this.#kindAt(local) === "directory") return { manifest, options };
    if (manifest === undefined && this.#kindAt(local) === "file") {
      return { manifest: local, options: { ...options, local: true } };
    }
    const what = this.#kindAt(local) === "file" ? "is a file, and the manifest is named already" : "is not there";
    throw new UsageError(`--local ${local} ${what}`, {
      hint: "--local takes a directory; a manifest goes before it: agb-sync apply agb-sync.yaml --local",
    });
  }

  /** Where the files of a local session are, as seen from here; undefined for any other session. */
  placeOfFiles({ directory, root }: Manifest, { local }: CommonOptions): string | undefined {
    if (local === undefined) return undefined;
    const place = join(this.#localDirectory(local, false, directory), root);
    const near = relative(this.cwd, place);
    return printable(near.startsWith("..") ? place : near);
  }

  /** What leads another command to the same workspace; a session that was made without a name is named by its id. */
  given(manifest: string | undefined, { local, session }: CommonOptions, made?: Session, spec?: SessionSpec): Given {
    const isNameless = made?.kind === "agb" && spec?.name === undefined;
    return { directory: this.directory, manifest, local, session: session ?? (isNameless ? made.id : undefined) };
  }

  async connect(
    manifest: Manifest,
    options: CommonOptions,
    create: boolean,
    more: Pick<ConnectOptions, "isForOneRun"> = {},
  ): Promise<Session> {
    if (options.local !== undefined && options.session !== undefined) {
      throw new UsageError("--local and --session exclude one another", { hint: "leave one of them out" });
    }
    if (options.local === undefined) this.warnOfEnvFiles();
    const before = this.whenInterrupted;
    const mayCreate = create && options.local === undefined && options.session === undefined;
    if (mayCreate) this.whenInterrupted = "a session may have been created, see: agb-sync session list";
    const reach = async () =>
      await connect({
        ...(options.local === undefined
          ? {}
          : { local: this.#localDirectory(options.local, create, manifest.directory) }),
        ...(options.session === undefined ? {} : { sessionId: options.session }),
        ...(options.concurrency === undefined ? {} : { concurrency: positive("--concurrency", options.concurrency) }),
        spec: manifest.session,
        create,
        ...more,
        env: this.env,
        cwd: this.cwd,
        envFiles: this.envFiles,
        onEvent: this.onEvent,
        signal: this.signal,
      });
    const session = await this.during("connecting", reach);
    this.whenInterrupted = before;
    return session;
  }

  /** Says which `.env` is left out where something that reaches the service may be in it. */
  warnOfEnvFiles(): void {
    if (this.#hasWarned || ["AGB_API_KEY", "AGB_ENDPOINT"].every((name) => this.env[name])) return;
    this.#hasWarned = true;
    for (const fault of nearestDotEnv(this.cwd).faults) this.console.warn(fault);
  }

  /** How local sources are read. */
  sourceOptions({ checksum = false }: CommonOptions): Pick<ReconcileOptions, "signal" | "cacheDirectory" | "checksum"> {
    const { XDG_CACHE_HOME: cache = "", HOME: home = "" } = this.env;
    const base = isAbsolute(cache) ? cache : isAbsolute(home) ? join(home, ".cache") : undefined;
    return { checksum, signal: this.signal, ...(base === undefined ? {} : { cacheDirectory: join(base, "agb-sync") }) };
  }

  reconcileOptions(options: CommonOptions, onEvent: ProgressListener): ReconcileOptions {
    const settlements = parseSettlements(options);
    return {
      ...this.sourceOptions(options),
      ...(options.strategy === undefined ? {} : { strategy: options.strategy }),
      ...(options.onConflict === undefined ? {} : { onConflict: options.onConflict }),
      ...(settlements.size === 0 ? {} : { settlements }),
      ...(options.maxDelete === undefined ? {} : { maxDelete: options.maxDelete }),
      ...(options.lockTimeout === undefined ? {} : { lockTimeoutMs: duration("--lock-timeout", options.lockTimeout) }),
      ...(options.run === undefined ? {} : options.run === false ? { runCommands: false } : { run: options.run }),
      detectMoves: options.detectMoves ?? true,
      backup: options.backup ?? true,
      allowMassDelete: options.allowMassDelete ?? false,
      onEvent,
    };
  }

  /** Shows that something is under way that is no phase of a reconciliation, such as `connecting`. */
  async during<Result>(what: string, work: () => Promise<Result>): Promise<Result> {
    if (this.console.isJson) return await work();
    this.#view.begin(what);
    try {
      return await work();
    } finally {
      this.#view.end(what);
    }
  }

  /** One live line on a terminal, else a plain one every few seconds. */
  get #view(): ProgressView {
    const { console } = this;
    if (this.#shown === undefined) {
      this.#shown = console.isLive ? new ProgressBar(process.stderr) : new ProgressLines((text) => console.say(text));
      console.liveLine = this.#shown;
    }
    return this.#shown;
  }

  /** Where progress goes: JSON lines, or what people see while they wait, with the cost of phases where that is wished. */
  progress(options: CommonOptions): Progress {
    const { console } = this;
    const costs = new PhaseCosts();
    if (options.json === true) {
      const onEvent: ProgressListener = (event) => console.printEvent(eventLine(event, this.hides));
      this.#onEvent = onEvent;
      return { onEvent, clear: () => undefined, costs };
    }
    const { foreign } = console.ink;
    const view = this.#view;
    const onEvent: ProgressListener = (event) => {
      view.onEvent(event);
      if (event.type === "notice") console.say(foreign(event.message));
      if (event.type === "output") {
        const text = console.redactor.cleanForeign(event.text);
        console.say(`${foreign(event.command)} | ${printableOutput(text, console.hasColor(process.stderr))}`);
      }
      if (event.type !== "phase-end") return;
      costs.add(event);
      if (console.isVerbose) console.say(describePhase(event));
    };
    this.#onEvent = onEvent;
    return { onEvent, clear: () => view.rest(), costs };
  }

  #heed(manifest: Manifest): Manifest {
    this.console.redactor.add(manifest.secrets);
    for (const { path: declared, sensitive } of manifest.files) if (sensitive) this.#sensitive.add(declared);
    return manifest;
  }

  #stop(code: number): void {
    this.interruptCode ??= code;
    if (!this.isIdle()) this.console.say(this.whenStopping);
    this.#controller.abort();
  }

  /** The default directory is beside the manifest, wherever one happens to be. It hides itself from git; only what may create a session makes it (S16). */
  #localDirectory(local: string | true, create: boolean, anchor: string): string {
    if (local !== true) {
      const directory = resolve(this.cwd, local);
      const stats = statSync(directory, { throwIfNoEntry: false });
      if (stats !== undefined && !stats.isDirectory()) throw new UsageError(`--local ${local} is not a directory`);
      return directory;
    }
    if (create) {
      const own = join(anchor, ".agb-sync");
      makeDirectories(own);
      if (!existsSync(join(own, ".gitignore"))) writeFileSync(join(own, ".gitignore"), "*\n");
    }
    return resolve(anchor, DEFAULT_LOCAL);
  }

  #kindAt(path: string): "file" | "directory" | undefined {
    const stats = statSync(resolve(this.cwd, path), { throwIfNoEntry: false });
    return stats?.isDirectory() === true ? "directory" : stats === undefined ? undefined : "file";
  }
}

/** What is wrong with a value is told before anything is reached or made. @throws {UsageError} */
function checkValues(options: CommonOptions): void {
  if (options.concurrency !== undefined) positive("--concurrency", options.concurrency);
  if (options.lockTimeout !== undefined) duration("--lock-timeout", options.lockTimeout);
  if (options.maxDelete !== undefined) parseDeleteLimit(options.maxDelete);
  parseSettlements(options);
  if (options.local === undefined || options.session === undefined) return;
  throw new UsageError("--local and --session exclude one another", { hint: "leave one of them out" });
}

/** @throws {UsageError} for anything but a whole number from 1. */
function positive(name: string, value: string): number {
  const number = /^\d{1,6}$/.test(value) ? Number(value) : 0;
  if (number >= 1 && number <= MAX_CONCURRENCY) return number;
  throw new UsageError(`${name} ${JSON.stringify(value)} is not a whole number from 1 to ${MAX_CONCURRENCY}`);
}

/** Milliseconds of an option such as `60s`. @throws {UsageError}. */
export function duration(name: string, value: string): number {
  const milliseconds = parseDuration(value);
  if (milliseconds !== undefined && milliseconds > LONGEST_MS) {
    throw new UsageError(`${name} ${value} is longer than 24 days`, { hint: "write for example 30s or 5m" });
  }
  if (milliseconds !== undefined) return milliseconds;
  throw new UsageError(`${name} ${JSON.stringify(value)} is not a duration`, {
    hint: "write for example 500ms, 30s or 5m",
  });
}
