import { hasCode } from "../../errors.ts";
import { BASE_PATH } from "../../state/base.ts";
import { JOURNAL_PATH } from "../../state/journal.ts";
import { EmbeddedTransport } from "../../transport/embedded/embedded-transport.ts";
import type { Reading } from "../../transport/embedded/read-session-file.ts";
import type { WorkspacePath } from "../../tree/workspace-path.ts";
import { isStatePath } from "../../tree/workspace-path.ts";
import type { BegunScan, CommitRequest, CommitResult, Engine, ScanRequest, ScanResult } from "../engine.ts";
import { commitBySteps } from "../steps-engine.ts";
import { commitFresh } from "./commit-fresh.ts";
import { FindListing } from "./find-listing.ts";
import { flush } from "./flush.ts";
import { removeIfPossible, removeLeftovers } from "./leftovers.ts";
import { type ScanStart, scanEmbedded } from "./scan-embedded.ts";
import { INDEX_PATH, SessionIndex, writeIndex } from "./session-index.ts";

/** Steps under way at a time; they are synchronous in the end, so more would only cost memory. */
const CONCURRENCY = 32;
/** From so many files on a process that lists them beside this one costs less than it saves. */
const LISTED_AHEAD = 2000;

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
    return await this.#scan(request, this.#start(), signal);
  }

  beginScan(ignorePatterns: readonly string[]): BegunScan | undefined {
    const start = this.#start();
    if (start.index.size < LISTED_AHEAD) return undefined;
    const listing = FindListing.start(this.#transport, ignorePatterns);
    if (listing === undefined) return undefined;
    return {
      scan: async (request, signal) => await this.#scan(request, { ...start, listing }, signal),
      discard: () => listing.discard(),
    };
  }

  async #scan(request: ScanRequest, start: ScanStart, signal: AbortSignal): Promise<ScanResult> {
    this.#index = start.index;
    return await scanEmbedded(this.#transport, request, start, signal);
  }

  /** Reached through a link it is refused (`OUTSIDE_ROOT`). */
  #start(): ScanStart {
    const [base, journal] = [BASE_PATH, JOURNAL_PATH].map((path) => this.#transport.readText(path));
    return { base, journal, index: this.#readIndex() };
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
