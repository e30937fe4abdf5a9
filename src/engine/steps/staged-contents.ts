import type pLimit from "p-limit";
import { AgbSyncError, hasCode } from "../../errors.ts";
import { CONTENTS_NAME } from "../../state/stage.ts";
import { ASIDE_MARK, listState, makeStateDirectory, makeWay } from "../../state/state-file.ts";
import type { Transport } from "../../transport/transport.ts";
import type { ContentStore } from "../../tree/content.ts";
import type { Digest } from "../../tree/digest.ts";
import { hexOf } from "../../tree/digest.ts";
import type { Mode } from "../../tree/entry.ts";
import type { WorkspacePath } from "../../tree/workspace-path.ts";
import { childPath, statePath } from "../../tree/workspace-path.ts";

/** One content that a step puts into place. */
export type StagedWrite = {
  readonly index: number;
  readonly digest: Digest;
  readonly mode: Mode;
  readonly sizeBytes: number;
};

/** Where new bytes wait, whole and verified, for their rename into place. Whoever uses it holds the lock. */
const CONTENTS = statePath("stage", CONTENTS_NAME);

/**
 * New bytes in the stage, each under its digest: what an apply that was cut off has left is found again, believed only by
 * its digest, and not sent a second time (S6). What nobody wants any more is removed.
 */
export class StagedContents {
  readonly #transport: Transport;
  readonly #limit: ReturnType<typeof pLimit>;
  readonly #paths = new Map<number, WorkspacePath>();

  constructor(transport: Transport, limit: ReturnType<typeof pLimit>) {
    this.#transport = transport;
    this.#limit = limit;
  }

  /** Where the content of a step is. */
  pathOf(index: number): WorkspacePath {
    const path = this.#paths.get(index);
    if (path === undefined) throw new AgbSyncError("INTERNAL", `nothing is staged for step ${index}`);
    return path;
  }

  /**
   * Stages all contents. `onWritten` is told of each that is there; `onFault` of each that could not be written.
   * Gives the indexes of those that the session does not hold as they were sent.
   */
  async bring(
    writes: readonly StagedWrite[],
    contents: ContentStore,
    on: {
      readonly written: (write: StagedWrite) => void;
      readonly fault: (index: number, error: unknown) => void;
    },
    signal: AbortSignal,
  ): Promise<readonly number[]> {
    this.#name(writes);
    const there = await this.#found(signal);
    const faulty = new Set<number>();
    await Promise.all(
      writes.map((write) =>
        this.#limit(async () => {
          const path = this.pathOf(write.index);
          if (signal.aborted || there.get(path) === write.digest) {
            on.written(write);
            return;
          }
          try {
            const content = contents.get(write.digest);
            if (content === undefined) throw new AgbSyncError("INTERNAL", `no content for step ${write.index}`);
            await this.#transport.writeFile(path, content, write.mode, signal);
            on.written(write);
          } catch (error) {
            // What is there of it would keep the disk full for this and every later apply.
            if (hasCode(error, "NO_SPACE")) await this.#transport.deleteFile(path, signal).catch(() => undefined);
            faulty.add(write.index);
            on.fault(write.index, error);
          }
        }),
      ),
    );
    if (signal.aborted) return [];
    const fresh = writes.filter(({ index }) => !faulty.has(index) && there.get(this.pathOf(index)) === undefined);
    const digests = await this.#transport.digestFiles(
      fresh.map(({ index }) => this.pathOf(index)),
      signal,
    );
    return fresh.filter(({ index, digest }) => digests.get(this.pathOf(index)) !== digest).map(({ index }) => index);
  }

  #name(writes: readonly StagedWrite[]): void {
    const counts = new Map<string, number>();
    for (const { index, digest, mode } of writes) {
      const name = `${hexOf(digest)}-${mode.toString(8)}`;
      const count = counts.get(name) ?? 0;
      counts.set(name, count + 1);
      this.#paths.set(index, childPath(CONTENTS, `${name}-${count}`));
    }
  }

  /** What is staged already and wanted, with its digest; the rest is removed. */
  async #found(signal: AbortSignal): Promise<ReadonlyMap<WorkspacePath, Digest>> {
    const wanted = new Set(this.#paths.values());
    const children = await listState(this.#transport, CONTENTS, signal);
    if (wanted.size > 0 && children.length === 0) await makeStateDirectory(this.#transport, CONTENTS, signal);
    const paths = children.map(({ name }) => childPath(CONTENTS, name));
    await Promise.all(
      children.map(async ({ name, kind }) => {
        const path = childPath(CONTENTS, name);
        if (name.includes(ASIDE_MARK)) return;
        // A directory or link that bears the name of a content is none.
        const isFile = kind === "file" || kind === "unknown";
        if (!isFile) await this.#limit(() => makeWay(this.#transport, path, signal));
        else if (!wanted.has(path)) await this.#limit(() => this.#transport.deleteFile(path, signal));
      }),
    );
    return await this.#transport.digestFiles(
      paths.filter((path) => wanted.has(path)),
      signal,
    );
  }
}
