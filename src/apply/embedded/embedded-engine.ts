import { hasCode } from "../../errors.ts";
import { EmbeddedTransport } from "../../transport/embedded/embedded-transport.ts";
import type { Reading } from "../../transport/embedded/read-session-file.ts";
import type { WorkspacePath } from "../../tree/workspace-path.ts";
import { isStatePath } from "../../tree/workspace-path.ts";
import type { CommitRequest, CommitResult, Engine, ScanRequest, ScanResult } from "../engine.ts";
import { commitBySteps } from "../steps-engine.ts";
import { commitFresh } from "./commit-fresh.ts";
import { flush } from "./flush.ts";
import { removeIfPossible, removeLeftovers } from "./leftovers.ts";
import { scanEmbedded } from "./scan-embedded.ts";
import { INDEX_PATH, SessionIndex, writeIndex } from "./session-index.ts";

/** Steps under way at a time; they are synchronous in the end, so more would only cost memory. */
const CONCURRENCY = 32;

/** Scans and commits a session on this machine in one go: an index instead of reading, one flush instead of thousands. */
export class EmbeddedEngine implements Engine {
  readonly strategy = "batch";
  readonly #transport: EmbeddedTransport;
  /** As the last commit wrote it, and what this process has read since. */
  #index: SessionIndex | undefined;

  constructor(transport: EmbeddedTransport) {
    this.#transport = transport;
  }

  async scan(request: ScanRequest, signal: AbortSignal): Promise<ScanResult> {
    this.#index = this.#readIndex();
    return await scanEmbedded(this.#transport, request, this.#index, signal);
  }

  /** What is read back on the way becomes the new index: no file is looked at again for it. */
  async commit(request: CommitRequest, signal: AbortSignal): Promise<CommitResult> {
    const index = (this.#index ??= this.#readIndex());
    const onRead = (path: WorkspacePath, reading: Reading) => {
      if (!isStatePath(path)) index.remember(path, reading);
    };
    const { directory, root } = this.#transport;
    const open = (place: string) => new EmbeddedTransport({ directory, root: place, syncsEachFile: false, onRead });
    const transport = open(root);
    await removeLeftovers(transport, open, signal);
    if (!request.rootExists) return await commitFresh(root, open, request, index, signal);
    const discard = (stage: WorkspacePath) => removeIfPossible(transport, stage);
    const result = await commitBySteps(transport, request, { concurrency: CONCURRENCY, discard }, signal);
    await writeIndex(transport, index);
    await flush(transport.rootDirectory);
    return result;
  }

  /** An index that is not as we leave it is not used, and replaced by the next commit. */
  #readIndex(): SessionIndex {
    try {
      return SessionIndex.parse(this.#transport.readText(INDEX_PATH));
    } catch (error) {
      if (hasCode(error, "OUTSIDE_ROOT", "PERMISSION_DENIED")) return new SessionIndex();
      throw error;
    }
  }
}
