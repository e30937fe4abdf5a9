import { dirname } from "node:path";
import { readSources } from "../desired/read-sources.ts";
import { SourceCache } from "../desired/source-cache.ts";
import { hasCode, messageOf, TransportError } from "../errors.ts";
import type { Manifest } from "../manifest/manifest.ts";
import { ManifestError } from "../manifest/manifest-error.ts";
import type { Conflict } from "../plan/plan.ts";
import type { Known, Planned, ReconcileOptions } from "../reconcile.ts";
import { applyPlan, changedPaths, isComplete, makePlan } from "../reconcile.ts";
import type { ApplyReport } from "../report.ts";
import type { Session } from "../session.ts";
import type { Entry } from "../tree/entry.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { CommandRunner } from "./command-runner.ts";
import type { Hints } from "./file-hints.ts";
import { fileHints, pollingHints } from "./file-hints.ts";
import { knownAfter } from "./known-after.ts";
import { aborted, Backoff, pause, settle, whileGitWorks } from "./pace.ts";
import { isTransientFile, TRANSIENT_MS } from "./transient-files.ts";

/** How to watch; times in milliseconds. */
export type WatchOptions = Omit<ReconcileOptions, "sourceCache" | "fullScan" | "isTransient"> & {
  /** Reads the manifest; called again when it may have changed. */
  readonly loadManifest: (sessionId?: string) => Promise<Manifest>;
  /** The manifest's own file, to be watched too. */
  readonly manifestFile?: string;
  /** Reaches the session; `mustBeNew` after the former one has gone. */
  readonly connect: (manifest: Manifest, mustBeNew: boolean) => Promise<Session>;
  /** Quiet time before changes are applied. Default 50. */
  readonly debounceMs?: number;
  /** Longest wait under constant changes. Default 2,000. */
  readonly maxWaitMs?: number;
  /** The session is compared as a whole this often. Default 60,000; 0: never. */
  readonly rescanMs?: number;
  /** Look at this interval instead of listening for changes, as for network drives. */
  readonly pollMs?: number;
  /** A session that has gone is created again and filled again. */
  readonly renew?: boolean;
  /** Sources of hints, for tests with watchers that lie. */
  readonly openHints?: () => Hints;
};

/** What watching gives, as it happens. */
export type WatchEvent =
  /** The first apply is verified; no change after this is missed. */
  | { readonly type: "ready"; readonly report: ApplyReport; readonly sessionId: string }
  /** One verified batch. `latencyMs`: from the first hint of it. `newConflicts`: not reported before. */
  | {
      readonly type: "cycle";
      readonly report: ApplyReport;
      readonly latencyMs: number;
      readonly newConflicts: readonly Conflict[];
    }
  /** Something stands in the way; watching goes on, after `retryMs` or with the next change. */
  | { readonly type: "problem"; readonly error: Error; readonly retryMs: number | undefined }
  | { readonly type: "recovered" }
  | { readonly type: "renewed"; readonly sessionId: string };

const SAFETY_MS = 5000;
/** Nothing is looked at more often than would cost this part of one core. */
const IDLE_SHARE = 300;
/** More hints than this at a time may mean that others were lost (the kernel's queue holds 16,384). */
const SUSPICIOUS_HINTS = 1000;

/**
 * Applies the manifest, then every local change, until the signal aborts. Events of the file system are hints only:
 * each turn compares the sources as they are with what the session is known to hold.
 * @throws {TransportError} for what waiting cannot mend: a bad key, or a session that is gone and not to be renewed.
 */
export async function* watch(options: WatchOptions): AsyncGenerator<WatchEvent, void, undefined> {
  const watcher = new Watcher(options);
  try {
    yield* watcher.run();
  } finally {
    await watcher.close();
  }
}

class Watcher {
  readonly #options: WatchOptions;
  readonly #cache = new SourceCache();
  readonly #backoff = new Backoff();
  readonly #commands: CommandRunner;
  readonly #notices: string[] = [];
  readonly #reported = new Map<WorkspacePath, string>();
  #hints: Hints;
  #manifest: Manifest | undefined;
  #session: Session | undefined;
  #known: Known | undefined;
  #followed: ReadonlySet<string> = new Set();
  #isReady = false;
  #hasProblem = false;
  #brokenManifest: string | undefined;
  #lastScanMs = 0;
  #safetyMs = SAFETY_MS;
  /** When to look again although nothing was hinted at. */
  #lookAgainMs = Number.POSITIVE_INFINITY;
  #transientSeen = false;

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#commands = new CommandRunner(options.onEvent);
    this.#hints = this.#openHints();
  }

  async *run(): AsyncGenerator<WatchEvent, void, undefined> {
    const { signal } = this.#options;
    this.#manifest = await this.#options.loadManifest();
    await this.#armFirst(this.#manifest);
    let mustBeNew = false;
    let firstHintMs = performance.now();
    while (!signal.aborted) {
      let retryMs: number | undefined;
      try {
        if (this.#session === undefined) {
          this.#session = await this.#options.connect(this.#manifest, mustBeNew);
          this.#known = undefined;
          if (mustBeNew) yield { type: "renewed", sessionId: this.#session.id };
          mustBeNew = false;
          if (this.#manifest.usesSessionId) this.#manifest = await this.#options.loadManifest(this.#session.id);
        }
        const event = await this.#turn(this.#session, firstHintMs);
        if (this.#hasProblem) yield { type: "recovered" };
        this.#hasProblem = false;
        this.#backoff.reset();
        if (event !== undefined) yield event;
      } catch (error) {
        if (signal.aborted) return;
        const how = this.#judge(error);
        if (how === "end") throw error;
        if (how === "renew") {
          await this.#session?.close();
          this.#session = undefined;
          this.#known = undefined;
          mustBeNew = true;
          continue;
        }
        this.#hasProblem = true;
        retryMs = how === "retry" ? this.#backoff.nextMs() : how === "soon" ? 100 : undefined;
        if (how !== "soon")
          yield { type: "problem", error: error instanceof Error ? error : new Error(messageOf(error)), retryMs };
        if (how === "retry") this.#known = undefined;
      }
      for (const notice of this.#notices.splice(0))
        yield { type: "problem", error: new Error(notice), retryMs: undefined };
      await this.#waitForWork(retryMs);
      if (signal.aborted) return;
      firstHintMs = performance.now();
      if (retryMs === undefined) {
        const { debounceMs = 50, maxWaitMs = 2000 } = this.#options;
        await settle(this.#hints, debounceMs, maxWaitMs, signal);
        await whileGitWorks(
          this.#manifest.trees.map(({ source }) => source),
          maxWaitMs,
          signal,
        );
      }
      const problem = await this.#reloadManifest();
      if (problem !== undefined) yield problem;
    }
  }

  async close(): Promise<void> {
    await this.#commands.stop();
    await this.#hints.close();
    await this.#session?.close();
  }

  /** One comparison and, if there is a difference, one apply. */
  async #turn(session: Session, firstHintMs: number): Promise<WatchEvent | undefined> {
    const manifest = this.#manifest;
    if (manifest === undefined) return undefined;
    const hintCount = this.#hints.takeCount();
    const { rescanMs = 60_000 } = this.#options;
    const nowMs = performance.now();
    if (rescanMs > 0 && nowMs - this.#lastScanMs >= rescanMs) this.#known = undefined;
    const isScan = this.#known === undefined;
    this.#transientSeen = false;
    const settings: ReconcileOptions = {
      ...this.#options,
      sourceCache: this.#cache,
      fullScan: true,
      runCommands: !this.#isReady,
      isTransient: (path, modifiedMs) => this.#isTransient(path, modifiedMs),
    };
    let planned: Planned;
    try {
      planned = await makePlan(manifest, session, settings, this.#known);
      if (isScan) this.#lastScanMs = nowMs;
      this.#safetyMs = Math.max(SAFETY_MS, (performance.now() - nowMs) * IDLE_SHARE);
      await this.#follow(planned.desired.sourceDirectories, manifest);
      const report = await applyPlan(planned, manifest, settings);
      this.#known = knownAfter(planned, report);
      this.#planNextLook(hintCount);
      return this.#eventOf(report, planned, manifest, session, firstHintMs);
    } catch (error) {
      if (hasCode(error, "STALE_PLAN")) this.#known = undefined;
      throw error;
    }
  }

  #eventOf(
    report: ApplyReport,
    planned: Planned,
    manifest: Manifest,
    session: Session,
    firstHintMs: number,
  ): WatchEvent | undefined {
    const newConflicts = this.#newConflicts(report.conflicts);
    if (!this.#isReady) {
      this.#isReady = true;
      return { type: "ready", report, sessionId: session.id };
    }
    if (report.outcomes.length === 0 && newConflicts.length === 0) return undefined;
    if (isComplete(report)) this.#commands.start(manifest.run, planned.workspace.transport, changedPaths(report));
    return { type: "cycle", report, latencyMs: performance.now() - firstHintMs, newConflicts };
  }

  /** A conflict is told once, and again only when the session's side has changed (W23). */
  #newConflicts(conflicts: readonly Conflict[]): readonly Conflict[] {
    const fresh = conflicts.filter(({ path, actual }) => this.#reported.get(path) !== identityOf(actual));
    this.#reported.clear();
    for (const { path, actual } of conflicts) this.#reported.set(path, identityOf(actual));
    return fresh;
  }

  #isTransient(path: WorkspacePath, modifiedMs: number): boolean {
    if (this.#known?.base.entries.has(path) === true || !isTransientFile(path, modifiedMs, Date.now())) return false;
    this.#transientSeen = true;
    return true;
  }

  /** After a large burst, or with an editor's files about, one more look is due although nothing hints at it. */
  #planNextLook(hintCount: number): void {
    const nowMs = performance.now();
    this.#lookAgainMs = Number.POSITIVE_INFINITY;
    if (hintCount > SUSPICIOUS_HINTS) this.#lookAgainMs = nowMs + 500;
    if (this.#transientSeen) this.#lookAgainMs = Math.min(this.#lookAgainMs, nowMs + TRANSIENT_MS + 50);
    if (this.#known === undefined) this.#lookAgainMs = nowMs;
  }

  /** Ends with a hint, the end of a pause that is due, or the signal. Keeps the session alive meanwhile. */
  async #waitForWork(retryMs: number | undefined): Promise<void> {
    const { signal, rescanMs = 60_000 } = this.#options;
    if (retryMs !== undefined) {
      await pause(retryMs, signal);
      return;
    }
    const nowMs = performance.now();
    const untilMs = Math.min(
      nowMs + this.#safetyMs,
      this.#lookAgainMs,
      rescanMs > 0 ? this.#lastScanMs + rescanMs : Number.POSITIVE_INFINITY,
    );
    const idle = new AbortController();
    const end = AbortSignal.any([signal, idle.signal]);
    await Promise.race([this.#hints.next(), pause(untilMs - nowMs, end), aborted(end)]);
    idle.abort();
  }

  /** A manifest that cannot be used any more leaves the last good one in force (W25). */
  async #reloadManifest(): Promise<WatchEvent | undefined> {
    try {
      this.#manifest = await this.#options.loadManifest(this.#session?.id);
      const wasBroken = this.#brokenManifest !== undefined;
      this.#brokenManifest = undefined;
      return wasBroken ? { type: "recovered" } : undefined;
    } catch (error) {
      const message = messageOf(error);
      if (message === this.#brokenManifest) return undefined;
      this.#brokenManifest = message;
      return { type: "problem", error: error instanceof Error ? error : new Error(message), retryMs: undefined };
    }
  }

  /** The watch is armed before anything is compared, so that no edit falls in between (W5). */
  async #armFirst(manifest: Manifest): Promise<void> {
    const { sourceDirectories } = await readSources(manifest, { signal: this.#options.signal, cache: this.#cache });
    await this.#follow(sourceDirectories, manifest);
  }

  /** New directories may have been filled before they were watched: they are looked at once more. */
  async #follow(sourceDirectories: ReadonlySet<string>, manifest: Manifest): Promise<void> {
    const directories = new Set(sourceDirectories);
    for (const { source } of manifest.trees) directories.add(source).add(dirname(source));
    if (this.#options.manifestFile !== undefined) directories.add(dirname(this.#options.manifestFile));
    const isKnown = [...directories].every((directory) => this.#followed.has(directory));
    if (isKnown && directories.size === this.#followed.size) return;
    await this.#hints.follow([...directories]);
    this.#followed = directories;
    if (!isKnown && this.#isReady) this.#lookAgainMs = performance.now();
  }

  #openHints(): Hints {
    const { openHints, pollMs } = this.#options;
    if (openHints !== undefined) return openHints();
    if (pollMs !== undefined) return pollingHints(pollMs);
    return fileHints((message) => {
      this.#notices.push(message);
      const broken = this.#hints;
      this.#hints = pollingHints(POLL_INSTEAD_MS);
      void broken.close();
    });
  }

  #judge(error: unknown): "end" | "renew" | "retry" | "soon" | "wait" {
    if (hasCode(error, "SESSION_GONE", "SESSION_NOT_FOUND")) return this.#options.renew === true ? "renew" : "end";
    if (hasCode(error, "BAD_API_KEY", "NO_API_KEY", "ACCESS_DENIED", "USAGE")) return "end";
    if (!this.#isReady && !(error instanceof TransportError && error.retryable)) return "end";
    if (hasCode(error, "SOURCE_CHANGED", "STALE_PLAN")) return "soon";
    if (error instanceof TransportError) return "retry";
    if (
      error instanceof ManifestError ||
      hasCode(error, "GUARD", "SOURCE_MISSING", "SOURCE_UNREADABLE", "SOURCE_ESCAPES")
    )
      return "wait";
    return hasCode(error, "SOURCE_TOO_LARGE") ? "wait" : "retry";
  }
}

/** How often to look where the system's limits do not allow listening. */
const POLL_INSTEAD_MS = 2000;

function identityOf(entry: Entry): string {
  return JSON.stringify(entry);
}
