import { basename, dirname } from "node:path";
import { type Clock, systemClock } from "../clock.ts";
import { changedSource } from "../desired/local-file.ts";
import { hasCode, messageOf, TransportError } from "../errors.ts";
import type { Manifest } from "../manifest/manifest.ts";
import type { Known } from "../reconcile/planned.ts";
import { keepAlive } from "../run/keep-alive.ts";
import type { Session } from "../session.ts";
import { Bell } from "./bell.ts";
import { CommandRunner } from "./command-runner.ts";
import { DeletionBurst } from "./deletion-burst.ts";
import { FileHints, SUSPICIOUS_HINTS } from "./file-hints.ts";
import { GitWork } from "./git-work.ts";
import { HeldSources } from "./held-sources.ts";
import type { Hinted, Hints, Places } from "./hints.ts";
import { pollingHints } from "./hints.ts";
import { knownAsBefore } from "./known-after.ts";
import { Backoff, firstOf, pause, settle } from "./pace.ts";
import { reconcileOnce } from "./reconcile-once.ts";
import { Teller } from "./teller.ts";
import { TRANSIENT_MS } from "./temporary-files.ts";
import { UnsettledFiles } from "./unsettled-files.ts";
import type { WatchEvent, WatchState } from "./watch-event.ts";
import type { WatchOptions } from "./watch-options.ts";
import { WatchedManifest } from "./watched-manifest.ts";
import type { Look } from "./watched-sources.ts";
import { WatchedSources } from "./watched-sources.ts";

const DEBOUNCE_MS = 50;
const MAX_WAIT_MS = 2000;
const RESCAN_MS = 60_000;
const SAFETY_MS = 10_000;
/** Looking at everything costs at most this part of one core; however long it takes, it is not put off for longer. */
const IDLE_SHARE = 500;
const LONGEST_SAFETY_MS = 60_000;
/** A comparison of the session may come this part of its interval early. */
const RESCAN_EARLY = 0.25;
/** After a burst that may have been larger than the kernel's queue. */
const LOOK_AFTER_BURST_MS = 500;
/** What changed under our hands is planned again after this. */
const SOON_MS = 100;
/** A session that lived for less than this is not renewed without a pause. */
const SHORT_LIFE_MS = 60_000;
/** How often to look where the system's limits do not allow listening. */
const POLL_INSTEAD_MS = 2000;
/** Closing a connection may wait for calls that were given up. */
const CLOSE_MS = 300;

/** The loop of one watch: wait, look, compare, apply; and what went wrong. */
export class Watcher {
  readonly #options: WatchOptions;
  readonly #clock: Clock;
  readonly #unsettled: UnsettledFiles;
  readonly #held: HeldSources;
  readonly #sources: WatchedSources;
  readonly #commands: CommandRunner;
  readonly #burst = new DeletionBurst();
  readonly #teller = new Teller();
  readonly #git: GitWork;
  readonly #backoff: Backoff;
  readonly #renewals: Backoff;
  /** Rung when something other than a file asks for a turn. */
  readonly #nudge = new Bell();
  readonly #notices: string[] = [];
  #hints: Hints;
  #session: Session | undefined;
  #sessionSinceMs = Number.NEGATIVE_INFINITY;
  #endSession = new AbortController();
  #known: Known | undefined;
  /** What was known before a comparison that nothing but the time asked for; the session may answer that it still holds. */
  #resting: Known | undefined;
  #hasScanned = false;
  #isReady = false;
  #mustBeNew = false;
  #isApplying = false;
  /** Hints up to this count were looked at. */
  #seen = 0;
  /** Files that hold still again, by directory. */
  #due: Map<string, Set<string>> = new Map();
  /** When the next try is; a deaf one does not listen to hints meanwhile. */
  #retry: { readonly atMs: number; readonly isDeaf: boolean } | undefined;
  #lookAtAllMs = Number.NEGATIVE_INFINITY;
  #lookAtSavesMs = Number.POSITIVE_INFINITY;
  #rescanAtMs = Number.POSITIVE_INFINITY;
  /** The first hint at what is not applied yet. */
  #pendingSinceMs: number | undefined;

  constructor(options: WatchOptions) {
    const { clock = systemClock, debounceMs = DEBOUNCE_MS, maxWaitMs = MAX_WAIT_MS, signal } = options;
    this.#options = options;
    this.#clock = clock;
    this.#unsettled = new UnsettledFiles(clock, debounceMs, maxWaitMs);
    this.#held = new HeldSources(this.#unsettled, (path) => this.#known?.base.entries.get(path)?.entry);
    const { manifestFile, cacheDirectory } = options;
    const named = (directory: string | undefined) => (directory === undefined ? [] : [directory]);
    const caches = named(cacheDirectory);
    const own = () => ({ sessions: named(this.#session?.localDirectory), caches });
    this.#sources = new WatchedSources({ signal, held: this.#held, own, manifestFile });
    this.#commands = new CommandRunner(options.onEvent, () => this.#nudge.ring());
    this.#git = new GitWork(clock);
    this.#backoff = new Backoff(clock);
    this.#renewals = new Backoff(clock);
    this.#hints = this.#openHints();
  }

  async *run(): AsyncGenerator<WatchEvent, void, undefined> {
    const { signal, loadManifest } = this.#options;
    // A command that runs beside an apply that has to be waited for must not be waited for after it.
    signal.addEventListener("abort", () => void this.#commands.stop(), { once: true });
    const manifest = new WatchedManifest(await loadManifest(), loadManifest, this.#clock);
    await this.#sources.arm(manifest.current, this.#hints);
    for (let isFirst = true; !signal.aborted; isFirst = false) {
      if (!isFirst) {
        await this.#waitForWork(manifest);
        if (signal.aborted) return;
        yield* this.#reload(manifest);
      }
      try {
        yield* this.#turn(manifest);
      } catch (error) {
        if (!signal.aborted) yield* this.#handle(error);
        else if (this.#isApplying) yield { type: "interrupted" };
      }
      yield* this.#notices.splice(0).map((message): WatchEvent => ({ type: "warning", message }));
    }
  }

  async close(): Promise<void> {
    this.#endSession.abort();
    await this.#commands.stop();
    await this.#hints.close();
    await this.#leave();
  }

  /** One look at the sources and, if they or the session ask for it, one plan and one apply. */
  async *#turn(manifest: WatchedManifest): AsyncGenerator<WatchEvent, void, undefined> {
    const session = this.#session ?? (yield* this.#reach(manifest));
    this.#seen = this.#hints.count;
    const hinted = this.#hints.take();
    this.#pendingSinceMs ??= hinted.firstMs;
    const isRescan = this.#isRescanDue(this.#clock.now());
    if (isRescan) {
      this.#resting = this.#known;
      this.#known = undefined;
    }
    const look = await this.#look(hinted, manifest.current, isRescan);
    yield* this.#teller.problems("source", this.#held.faults);
    const restless = this.#unsettled.restless.map(
      (path) => `${path} is written to all the time: sent when it holds still`,
    );
    yield* this.#teller.warnings("unsettled", restless);
    const isRetryDue = this.#retry === undefined || this.#clock.now() >= this.#retry.atMs;
    const isLeft = this.#known === undefined || this.#retry !== undefined;
    const hasNews = look.changed?.size !== 0 || this.#commands.hasNews;
    if (hasNews || (isLeft && isRetryDue)) {
      yield* this.#reconcile(session, manifest.current, look);
    } else if (!isLeft) this.#pendingSinceMs = undefined;
    this.#planNextLook(hinted, look, manifest);
    this.#enter(this.#retry === undefined ? "idle" : "waiting");
  }

  /** A session of which too little is known is compared as a whole anyway. */
  get #rescanDueMs(): number {
    return this.#known === undefined ? Number.POSITIVE_INFINITY : this.#rescanAtMs;
  }

  /** A comparison that would follow soon after a look at everything is made together with that. */
  #isRescanDue(nowMs: number): boolean {
    const { rescanMs = RESCAN_MS } = this.#options;
    const earlyMs = nowMs >= this.#lookAtAllMs ? rescanMs * RESCAN_EARLY : 0;
    return nowMs >= this.#rescanDueMs - earlyMs;
  }

  async #look(hinted: Hinted, manifest: Manifest, isRescan: boolean): Promise<Look> {
    const nowMs = this.#clock.now();
    const places = new Map<string, ReadonlySet<string>>(this.#due);
    this.#due = new Map();
    for (const [directory, names] of [...(hinted.places ?? []), ...this.#savesDue(nowMs)]) {
      places.set(directory, new Set([...(places.get(directory) ?? []), ...names]));
    }
    const isTrusted = hinted.count === 0 || hinted.places !== undefined;
    if (isTrusted && !isRescan && nowMs < this.#lookAtAllMs) {
      const look = await this.#sources.lookAt(places, manifest, this.#hints);
      if (look !== undefined) return look;
    }
    const look = await this.#sources.lookAtAll(manifest, this.#hints);
    const endMs = this.#clock.now();
    const { safetyMs = SAFETY_MS } = this.#options;
    this.#lookAtAllMs = endMs + Math.min(LONGEST_SAFETY_MS, Math.max(safetyMs, (endMs - nowMs) * IDLE_SHARE));
    return look;
  }

  #savesDue(nowMs: number): Places {
    if (nowMs < this.#lookAtSavesMs) return new Map();
    this.#lookAtSavesMs = Number.POSITIVE_INFINITY;
    return this.#held.savingPlaces;
  }

  /** What was looked at may have to be looked at once more although nothing hints at it. */
  #planNextLook(hinted: Hinted, look: Look, manifest: WatchedManifest): void {
    const nowMs = this.#clock.now();
    const sooner = (ms: number) => {
      this.#lookAtAllMs = Math.min(this.#lookAtAllMs, ms);
    };
    if (hinted.count > SUSPICIOUS_HINTS) sooner(nowMs + LOOK_AFTER_BURST_MS);
    if (look.isOpen || this.#held.isMistaken) sooner(nowMs);
    sooner(manifest.nextMs);
    const savesMs = this.#held.savingPlaces.size > 0 ? nowMs + TRANSIENT_MS + 50 : Number.POSITIVE_INFINITY;
    this.#lookAtSavesMs = Math.min(this.#lookAtSavesMs, savesMs);
  }

  async *#reconcile(session: Session, manifest: Manifest, look: Look): AsyncGenerator<WatchEvent, void, undefined> {
    const { rescanMs = RESCAN_MS } = this.#options;
    const { desired, changed } = look;
    const isScan = this.#known === undefined;
    const scanMs = this.#clock.now();
    this.#enter("applying");
    try {
      const state = {
        known: this.#known,
        resting: this.#resting,
        isReady: this.#isReady,
        hasScanned: this.#hasScanned,
        deletedBefore: this.#burst.goneBefore(desired.tree, scanMs),
      };
      const onApply = (isUnderWay: boolean) => (this.#isApplying = isUnderWay);
      const since = { pendingMs: this.#pendingSinceMs ?? scanMs, clock: this.#clock };
      const tools = { teller: this.#teller, commands: this.#commands, unsettled: this.#unsettled, onApply };
      const options = this.#options;
      const round = yield* reconcileOnce({
        options,
        session,
        manifest,
        desired,
        changed,
        ...state,
        ...since,
        ...tools,
      });
      this.#known = round.known;
      this.#resting = undefined;
      this.#hasScanned = true;
      if (this.#isReady) this.#burst.note(round.deleted.paths, round.deleted.actual, this.#clock.now());
      if (isScan) this.#rescanAtMs = rescanMs > 0 ? scanMs + rescanMs : Number.POSITIVE_INFINITY;
      if (round.isComplete) this.#pendingSinceMs = undefined;
      if (round.isReady && !this.#isReady) {
        this.#isReady = true;
        this.#held.holdsFaults = true;
      }
      this.#retryAfter(round.next);
    } catch (error) {
      // A source that changed before it was sent ends a batch before anything is done in the session.
      this.#known = changedSource(error) === undefined ? undefined : knownAsBefore(this.#known, changed);
      this.#resting = undefined;
      throw error;
    }
    yield* this.#teller.problems("session", new Map());
  }

  #retryAfter(next: "rest" | "soon" | "later"): void {
    if (next === "rest") {
      this.#retry = undefined;
      this.#backoff.reset();
      return;
    }
    const pauseMs = next === "soon" ? SOON_MS : this.#backoff.nextMs();
    this.#retry = { atMs: this.#clock.now() + pauseMs, isDeaf: false };
  }

  /** Ends with a hint that has settled, the end of a pause that is due, or the signal. */
  async #waitForWork(manifest: WatchedManifest): Promise<void> {
    const { signal, debounceMs = DEBOUNCE_MS, maxWaitMs = MAX_WAIT_MS } = this.#options;
    const clock = this.#clock;
    const nudges = this.#nudge.count;
    if (this.#retry?.isDeaf === true) return await pause(clock, this.#retry.atMs - clock.now(), signal);
    while (!signal.aborted && this.#nudge.count === nudges) {
      if (this.#hints.count > this.#seen) {
        const endMs = (this.#hints.firstMs ?? clock.now()) + maxWaitMs;
        await settle(this.#hints, debounceMs, endMs, clock, signal);
        return await this.#waitForGit(manifest, Math.max(endMs, clock.now()));
      }
      for (const path of this.#unsettled.due()) {
        const directory = dirname(path);
        this.#due.set(directory, (this.#due.get(directory) ?? new Set()).add(basename(path)));
      }
      const { atMs = Number.POSITIVE_INFINITY } = this.#retry ?? {};
      const nextMs = Math.min(this.#lookAtAllMs, this.#lookAtSavesMs, this.#rescanDueMs, atMs);
      if (this.#due.size > 0 || clock.now() >= atMs) return await this.#waitForGit(manifest, clock.now() + maxWaitMs);
      if (clock.now() >= nextMs) return;
      await firstOf(signal, [
        (end) => this.#hints.after(this.#seen, end),
        (end) => this.#nudge.after(nudges, end),
        (end) => pause(clock, Math.min(nextMs, this.#unsettled.nextMs) - clock.now(), end),
      ]);
    }
  }

  async #waitForGit({ current }: WatchedManifest, endMs: number): Promise<void> {
    const { signal, maxWaitMs = MAX_WAIT_MS } = this.#options;
    // What a busy machine or a slow disk tells late is no sign of rest, however short a wait somebody chose.
    const isAtWork = () => this.#clock.now() - this.#hints.lastMs < Math.max(maxWaitMs, MAX_WAIT_MS);
    await this.#git.wait(new Set(current.trees.map(({ source }) => source)), endMs, isAtWork, signal);
  }

  /** A manifest that cannot be used any more leaves the last good one in force (W25). */
  async *#reload(manifest: WatchedManifest): AsyncGenerator<WatchEvent, void, undefined> {
    const news = await manifest.reload(this.#session?.id);
    if (news.kind === "missing") return;
    yield* this.#teller.problems("manifest", new Map(news.kind === "broken" ? [["", news.error]] : []));
    if (news.kind !== "new") return;
    this.#lookAtAllMs = Number.NEGATIVE_INFINITY;
    if (news.isOther) this.#known = undefined;
    if (!news.changesSession) return;
    yield* this.#teller.warnings("manifest", [
      "session: was changed in the manifest; that holds from the next start of agb-sync watch",
    ]);
  }

  async *#reach(manifest: WatchedManifest): AsyncGenerator<WatchEvent, Session, undefined> {
    this.#enter("connecting");
    const session = await this.#options.connect(manifest.current, this.#mustBeNew);
    const isRenewed = this.#mustBeNew;
    this.#session = session;
    this.#sessionSinceMs = this.#clock.now();
    this.#mustBeNew = false;
    this.#known = undefined;
    this.#hasScanned = false;
    this.#endSession = new AbortController();
    const { signal } = this.#endSession;
    void keepAlive(session, manifest.current, this.#clock, signal, (error) => {
      // Any other failure is no news: the next apply meets it and says so.
      if (!hasCode(error, "SESSION_GONE", "SESSION_NOT_FOUND")) return;
      this.#known = undefined;
      this.#nudge.ring();
    });
    if (isRenewed) yield { type: "renewed", sessionId: session.id };
    if (manifest.current.usesSessionId) yield* this.#reload(manifest);
    manifest.settle(session.id);
    return session;
  }

  async #leave(): Promise<void> {
    this.#endSession.abort();
    const session = this.#session;
    this.#session = undefined;
    const patience = new AbortController();
    await Promise.race([session?.close(), pause(systemClock, CLOSE_MS, patience.signal)]);
    patience.abort();
  }

  async *#handle(error: unknown): AsyncGenerator<WatchEvent, void, undefined> {
    const nowMs = this.#clock.now();
    if (hasCode(error, "SESSION_GONE", "SESSION_NOT_FOUND")) {
      if (this.#options.renew !== true) throw error;
      const isShortLived = this.#session === undefined || nowMs - this.#sessionSinceMs < SHORT_LIFE_MS;
      if (!isShortLived) this.#renewals.reset();
      await this.#leave();
      this.#mustBeNew = true;
      this.#retry = { atMs: nowMs + (isShortLived ? this.#renewals.nextMs() : 0), isDeaf: true };
      return;
    }
    if (hasCode(error, "BAD_API_KEY", "NO_API_KEY", "ACCESS_DENIED", "USAGE")) throw error;
    const changed = changedSource(error);
    if (changed !== undefined) this.#unsettled.hold(changed);
    if (changed !== undefined || hasCode(error, "STALE_PLAN")) {
      this.#retry = { atMs: nowMs + SOON_MS, isDeaf: true };
      return;
    }
    if (!this.#isReady && !(error instanceof TransportError && error.retryable)) throw error;
    const told = error instanceof Error ? error : new Error(messageOf(error));
    if (!(error instanceof TransportError)) {
      // Nothing but a change of the sources can mend it.
      this.#retry = undefined;
      yield* this.#teller.problems("source", new Map([["", told]]));
      return;
    }
    const retryMs = this.#backoff.nextMs();
    this.#retry = { atMs: nowMs + retryMs, isDeaf: true };
    this.#enter("waiting");
    yield* this.#teller.problems("session", new Map([[error.code, told]]), retryMs);
  }

  #openHints(): Hints {
    const { openHints, pollMs } = this.#options;
    if (openHints !== undefined) return openHints();
    if (pollMs !== undefined) return pollingHints(pollMs, this.#clock);
    return new FileHints({
      clock: this.#clock,
      unsettled: this.#unsettled,
      onTrouble: (message) => {
        this.#notices.push(message);
        const broken = this.#hints;
        this.#hints = pollingHints(POLL_INSTEAD_MS, this.#clock);
        this.#seen = 0;
        void broken.close();
        this.#nudge.ring();
      },
    });
  }

  #enter(activity: WatchState["activity"]): void {
    const session = this.#session;
    this.#options.onState?.({
      activity,
      session: session === undefined ? undefined : { id: session.id, isNew: session.origin === "created" },
      queued: this.#hints.count - this.#seen,
    });
  }
}
