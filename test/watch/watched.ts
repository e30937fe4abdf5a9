import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { connect } from "../../src/connect.ts";
import type { CommitRequest, Engine } from "../../src/engine/engine.ts";
import type { Manifest } from "../../src/manifest/manifest.ts";
import type { Step } from "../../src/plan/plan.ts";
import type { Session } from "../../src/session.ts";
import { watch } from "../../src/watch/watch.ts";
import type { WatchEvent } from "../../src/watch/watch-event.ts";
import type { WatchOptions } from "../../src/watch/watch-options.ts";
import { look } from "../helpers/look.ts";
import { withWorkspace } from "../helpers/with-workspace.ts";
import { type Local, layOut, mirrorOf, temporaryDirectory } from "../helpers/workspace.ts";
import { MemorySession, shown } from "./memory-session.ts";

type EventOf<Type> = Extract<WatchEvent, { type: Type }>;
export type Opened = {
  readonly session: Session;
  readonly root: string;
  /** What the workspace holds, where that is not to be seen below `root`. */
  readonly show?: () => Record<string, string>;
};

/** Longest that anything is waited for. */
const LONGEST_MS = 30_000;

/** A watch over a temporary source into an embedded session, with what it said and ways to wait for it. */
export class Watched {
  readonly directory: string;
  readonly source: string;
  readonly events: WatchEvent[] = [];
  readonly controller = new AbortController();
  /** What the manifest says beside the tree. */
  manifest = "";
  /** Where the workspace lies on this machine. */
  root = "";
  #show: () => Record<string, string> | undefined = () => safely(this.root);
  failure: unknown;
  #end: Promise<void> = Promise.resolve();
  readonly #listeners = new Set<() => void>();

  constructor(directory = temporaryDirectory()) {
    this.directory = directory;
    this.source = join(directory, "source");
  }

  /** Starts and waits until the watch is ready, or throws why it is not. */
  async start(
    files: Readonly<Record<string, Local>>,
    options: Partial<WatchOptions> = {},
    open: () => Promise<Opened> = () => this.openLocal(),
  ): Promise<void> {
    layOut(this.source, files);
    const settings: WatchOptions = {
      loadManifest: async (): Promise<Manifest> => mirrorOf(this.directory, this.manifest),
      connect: async () => {
        const { session, root, show } = await open();
        this.root = root;
        if (show !== undefined) this.#show = show;
        return session;
      },
      signal: this.controller.signal,
      debounceMs: 10,
      maxWaitMs: 300,
      rescanMs: 0,
      lockTimeoutMs: 1000,
      ...options,
    };
    onTestFinished(async () => await this.stop());
    this.#end = this.#iterate(settings);
    await this.until(() => this.failure !== undefined || this.all("ready").length > 0);
    if (this.failure !== undefined) throw this.failure;
  }

  async openLocal(): Promise<Opened> {
    const local = join(this.directory, "session");
    const session = await connect({ local, env: {}, cwd: "/", signal: this.controller.signal });
    return { session, root: join(local, "tmp/workspace") };
  }

  /** For a watch over a session in memory. */
  over(session: MemorySession): () => Promise<Opened> {
    return async () => ({ session, root: "", show: () => shown(session.tree) });
  }

  /** Ends the watch and waits for its end. */
  async stop(): Promise<void> {
    this.controller.abort();
    await this.#end;
  }

  /** Waits until `isTrue`, which is asked now and after everything that happens. */
  async until(isTrue: () => boolean, longestMs = LONGEST_MS): Promise<void> {
    if (isTrue()) return;
    await new Promise<void>((resolve, reject) => {
      const said = () => JSON.stringify(this.events.slice(-3)).slice(0, 2000);
      const timer = setTimeout(() => finish(() => reject(new Error(`not in time; events: ${said()}`))), longestMs);
      const finish = (then: () => void) => {
        clearTimeout(timer);
        this.#listeners.delete(ask);
        then();
      };
      const ask = () => {
        if (isTrue()) finish(resolve);
      };
      this.#listeners.add(ask);
    });
  }

  /** Waits until the session equals the source. */
  async settled(longestMs = LONGEST_MS): Promise<void> {
    await this.until(() => this.isEqual(), longestMs);
  }

  isEqual(): boolean {
    return JSON.stringify(this.#show()) === JSON.stringify(safely(this.source));
  }

  all<Type extends WatchEvent["type"]>(type: Type): readonly EventOf<Type>[] {
    return this.events.filter((event): event is EventOf<Type> => event.type === type);
  }

  get cycles(): readonly EventOf<"cycle">[] {
    return this.all("cycle");
  }

  /** Steps of all cycles that were carried out, as `write a` or `move a b`. */
  get steps(): readonly string[] {
    return this.cycles.flatMap(({ report }) =>
      report.outcomes.flatMap(({ step, result }) => (result.status === "applied" ? [nameOf(step)] : [])),
    );
  }

  /** For what happens beside the events. */
  wake(): void {
    for (const ask of this.#listeners) ask();
  }

  async #iterate(settings: WatchOptions): Promise<void> {
    try {
      for await (const event of watch(settings)) {
        this.events.push(event);
        this.wake();
      }
    } catch (error) {
      this.failure = error;
    }
    this.wake();
  }
}

export function nameOf(step: Step): string {
  return step.op === "move" ? `move ${step.from} ${step.to}` : `${step.op} ${step.path}`;
}

/** What is in a directory; undefined when it changes while it is looked at. */
export function safely(directory: string): Record<string, string> | undefined {
  try {
    return Object.fromEntries(Object.entries(look(directory)).toSorted(([one], [other]) => (one < other ? -1 : 1)));
  } catch {
    return undefined;
  }
}

/** A temporary directory in memory, for tests with very many files; an ordinary one where that is not to be had. */
export function directoryInMemory(): string {
  if (!existsSync("/dev/shm")) return temporaryDirectory();
  const directory = mkdtempSync("/dev/shm/agb-sync-test-");
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Called before each scan and commit of a session; what it throws is what the session answers. */
export type Interference = {
  readonly onScan?: () => Promise<void> | void;
  readonly onCommit?: (request: CommitRequest) => Promise<void> | void;
};

/** The session with somebody in between. */
export function interfering(session: Session, { onScan, onCommit }: Interference): Session {
  const between = (engine: Engine): Engine => ({
    strategy: engine.strategy,
    async scan(request, signal) {
      await onScan?.();
      return await engine.scan(request, signal);
    },
    async commit(request, signal) {
      await onCommit?.(request);
      return await engine.commit(request, signal);
    },
  });
  return withWorkspace(session, ({ transport, steps, batch }) => ({
    transport,
    steps: between(steps),
    batch: batch === undefined ? undefined : between(batch),
  }));
}
