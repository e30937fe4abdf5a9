import type { Tree } from "../tree/entry.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";

/** A file that goes this soon after another goes with it: a slow `rm -r` is one deletion. */
const BURST_MS = 5000;

/** Counts files that go one soon after the other as one deletion, however many rounds see a part of it (S43). */
export class DeletionBurst {
  #before: Tree = new Map();
  #endMs = Number.NEGATIVE_INFINITY;
  readonly #gone = new Set<WorkspacePath>();

  /** Files that the burst under way has taken; what is desired again, or was made in the course of it, is none. */
  goneBefore(desired: Tree, nowMs: number): number {
    return nowMs < this.#endMs ? [...this.#gone].filter((path) => !desired.has(path)).length : 0;
  }

  /** Notes what a round has deleted of `actual`, the tree that it found. */
  note(paths: readonly WorkspacePath[], actual: Tree, nowMs: number): void {
    if (paths.length === 0) return;
    if (nowMs >= this.#endMs) {
      this.#before = actual;
      this.#gone.clear();
    }
    this.#endMs = nowMs + BURST_MS;
    for (const path of paths) if (this.#before.has(path)) this.#gone.add(path);
  }
}
