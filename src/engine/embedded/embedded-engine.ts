import { hasCode } from "../../errors.ts";
import { JOURNAL_PATH } from "../../state/journal.ts";
import { LARGEST_STATE_BYTES, oddWarnings } from "../../state/state-file.ts";
import { EmbeddedTransport } from "../../transport/embedded/embedded-transport.ts";
import type { Reading } from "../../transport/embedded/read-session-file.ts";
import { BASE_PATH } from "../../tree/base.ts";
import type { WorkspacePath } from "../../tree/workspace-path.ts";
import { isStatePath } from "../../tree/workspace-path.ts";
import type {
  BeginScanRequest,
  BegunScan,
  CommitRequest,
  CommitResult,
  Engine,
  ScanRequest,
  ScanResult,
} from "../engine.ts";
import { commitBySteps } from "../steps/steps-engine.ts";
import { commitFresh } from "./commit-fresh.ts";
import { FindListing, parseListing } from "./find-listing.ts";
import { flush } from "./flush.ts";
import { removeIfPossible, removeLeftovers } from "./leftovers.ts";
import { restStamp } from "./rest-stamp.ts";
import { type ScanStart, scanEmbedded } from "./scan-embedded.ts";
import { INDEX_PATH, SessionIndex, writeIndex } from "./session-index.ts";

/** Steps under way at a time; they are synchronous in the end, so more would only cost memory. */
const CONCURRENCY = 32;
/** From such a length of the index on, some 2,000 files, a process that lists them beside this one costs less than it saves. */
const LISTED_AHEAD = 250_000;

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
    return await this.#scan(request, { ...this.#readState(), index: this.#readIndex() }, signal);
  }

  beginScan({ ignorePatterns, cacheDirectory }: BeginScanRequest): BegunScan | undefined {
    const state = this.#readState();
    const indexText = this.#readIndexText();
    if ((indexText?.length ?? 0) < LISTED_AHEAD) return undefined;
    const begunMs = Date.now();
    const listing = FindListing.start(this.#transport, ignorePatterns);
    if (listing === undefined) return undefined;
    const scan = async (request: ScanRequest, signal: AbortSignal) => {
      const listed = await listing.output(signal);
      const stamp = restStamp(cacheDirectory, this.#transport, request, { ...state, listed });
      this.#index = undefined;
      if (stamp?.holds === true) return { kind: "unchanged", base: undefined } as const;
      const entries = listed === undefined ? undefined : parseListing(listed);
      const result = await this.#scan(request, { ...state, index: SessionIndex.parse(indexText), entries }, signal);
      if (result.kind === "unchanged") stamp?.set(begunMs);
      return result;
    };
    return { scan, discard: () => listing.discard() };
  }

  async #scan(request: ScanRequest, start: ScanStart, signal: AbortSignal): Promise<ScanResult> {
    this.#index = start.index;
    return await scanEmbedded(this.#transport, request, start, signal);
  }

  /** Base and the journal as they are stored. Reached through a link they are refused (`OUTSIDE_ROOT`). */
  #readState(): Pick<ScanStart, "base" | "journal" | "warnings"> {
    const read = (path: WorkspacePath) => this.#transport.inspectText(path, LARGEST_STATE_BYTES);
    const [base, journal] = [read(BASE_PATH), read(JOURNAL_PATH)];
    return {
      base: base.text,
      journal: journal.text,
      warnings: oddWarnings([BASE_PATH, base], [JOURNAL_PATH, journal]),
    };
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

  #readIndex(): SessionIndex {
    return SessionIndex.parse(this.#readIndexText());
  }

  /** An index that is not as we leave it is not used, and replaced by the next commit. */
  #readIndexText(): string | undefined {
    try {
      return this.#transport.readText(INDEX_PATH, LARGEST_STATE_BYTES);
    } catch (error) {
      if (hasCode(error, "OUTSIDE_ROOT", "PERMISSION_DENIED")) return undefined;
      throw error;
    }
  }
}
