import { changesOf } from "../../src/engine/base-changes.ts";
import type { Engine, StepResult } from "../../src/engine/engine.ts";
import { TransportError } from "../../src/errors.ts";
import { treeAfter } from "../../src/plan/tree-after.ts";
import type { Session } from "../../src/session.ts";
import type { Transport } from "../../src/transport/transport.ts";
import type { Base } from "../../src/tree/base.ts";
import { changeBase, emptyBase } from "../../src/tree/base.ts";
import type { Tree } from "../../src/tree/entry.ts";

/** What the service answers while it cannot be reached. */
const unreachable = () => new TransportError("UNREACHABLE", "nobody answers", { retryable: true });

/** A session that is nothing but two trees: for what a watch does, not for what becomes of it. */
export class MemorySession implements Session {
  readonly kind = "embedded";
  readonly origin = "attached";
  readonly id: string;
  tree: Tree = new Map();
  base: Base | undefined;
  /** Every scan, commit and keep-alive that was asked for, also those that failed. */
  readonly calls: ("scan" | "commit" | "keep-alive")[] = [];
  /** True: nothing reaches it. */
  isDown = false;
  /** True: it was released. */
  isGone = false;
  /** Called before each commit. */
  onCommit: () => Promise<void> | void = () => undefined;

  constructor(id = "memory") {
    this.id = id;
  }

  openWorkspace(root: string) {
    const engine = this.#engine(root);
    return { transport: this.#transport(root), steps: engine, batch: engine };
  }

  async release(): Promise<void> {}

  async keepAlive(): Promise<void> {
    this.#call("keep-alive");
  }

  async close(): Promise<void> {}

  count(what: "scan" | "commit" | "keep-alive"): number {
    return this.calls.filter((call) => call === what).length;
  }

  #call(what: "scan" | "commit" | "keep-alive"): void {
    this.calls.push(what);
    if (this.isGone) throw new TransportError("SESSION_GONE", "the session is gone");
    if (this.isDown) throw unreachable();
  }

  #engine(root: string): Engine {
    return {
      strategy: "batch",
      scan: async () => {
        this.#call("scan");
        const { tree: actual, base } = this;
        return { kind: "tree", rootExists: base !== undefined, actual, base, recovered: [], warnings: [] };
      },
      commit: async (request) => {
        const { steps } = request;
        this.#call("commit");
        await this.onCommit();
        const results = steps.map((): StepResult => ({ status: "applied" }));
        const base = this.base ?? emptyBase(this.id, root);
        this.base = changeBase(base, changesOf(request, results, base), request.headerAfter(results));
        this.tree = treeAfter(
          this.tree,
          steps.map(({ step }) => step),
        );
        return { results, verified: true, backupPath: undefined };
      },
    };
  }

  #transport(root: string): Transport {
    const never = async (): Promise<never> => {
      throw new TypeError("a session in memory has no files");
    };
    return {
      kind: "embedded",
      sessionId: this.id,
      root,
      features: async () => ({
        modes: true,
        links: true,
        binary: true,
        removeDirectory: true,
        foldsNames: false,
        anyName: true,
        shell: false,
      }),
      listDirectory: never,
      stat: never,
      readFile: () => {
        throw new TypeError("a session in memory has no files");
      },
      digestFiles: never,
      writeFile: never,
      createDirectory: never,
      move: never,
      deleteFile: never,
      removeDirectory: never,
      setMode: never,
      createLink: never,
      counters: { requests: 0, bytesSent: 0, bytesReceived: 0, retries: 0 },
      close: async () => undefined,
    };
  }
}

/** A tree as `look` shows a local directory. */
export function shown(tree: Tree): Record<string, string> {
  return Object.fromEntries(
    [...tree]
      .toSorted(([one], [other]) => (one < other ? -1 : 1))
      .map(([path, entry]) => {
        if (entry.kind === "link") return [path, `-> ${entry.target}`];
        if (entry.kind === "special") return [path, "special"];
        const mode = (entry.mode ?? 0).toString(8);
        return [path, entry.kind === "directory" ? `${mode} directory` : `${mode} ${entry.digest?.slice(7)}`];
      }),
  );
}
