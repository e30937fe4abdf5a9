import type pLimit from "p-limit";
import { hasCode } from "../errors.ts";
import type { Step } from "../plan/plan.ts";
import type { Transport } from "../transport/transport.ts";
import type { Digest } from "../tree/digest.ts";
import type { Entry } from "../tree/entry.ts";
import { isAsSeen } from "../tree/entry.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { childPath, parentPath, statePath } from "../tree/workspace-path.ts";

type Replacing = Extract<Step, { op: "write" | "create-link" | "delete" }>;

/** Something that a step took out of its place and that is not known yet to be what the plan saw. */
type Aside = { readonly index: number; readonly step: Replacing; readonly at: WorkspacePath };

/**
 * What the steps of one run replace or delete, kept below the stage until it is verified: bytes that the plan did not
 * see come back into their place, or go to the backup where something newer stands by then (S20).
 */
export class SetAside {
  readonly #transport: Transport;
  readonly #directory: WorkspacePath;
  readonly #backup: string;
  readonly #limit: ReturnType<typeof pLimit>;
  readonly #unverified = new Map<number, Aside>();
  readonly #verified = new Set<WorkspacePath>();

  /** Works below `directory`; what cannot come back into its place goes to the backup of that name. */
  constructor(
    transport: Transport,
    places: { readonly directory: WorkspacePath; readonly backup: string },
    limit: ReturnType<typeof pLimit>,
  ) {
    this.#transport = transport;
    this.#directory = places.directory;
    this.#backup = places.backup;
    this.#limit = limit;
  }

  /** Where what stands in the way of a step is to go. */
  place(index: number, step: Replacing): WorkspacePath {
    const at = childPath(this.#directory, `old-${index}`);
    this.#unverified.set(index, { index, step, at });
    return at;
  }

  /** The path's place in the backup of this run, in a directory that is there. */
  async makeBackupPlace(path: WorkspacePath, signal: AbortSignal): Promise<WorkspacePath> {
    const place = statePath("backup", this.#backup, path);
    await this.#transport.createDirectory(parentPath(place), undefined, signal);
    return place;
  }

  /**
   * Looks at everything that was set aside since the last call. What the plan did not see is put back. Gives what was
   * found instead, by step.
   */
  async verify(signal: AbortSignal): Promise<ReadonlyMap<number, Entry>> {
    const asides = [...this.#unverified.values()];
    const files = asides.filter(({ step }) => step.before?.kind === "file");
    const digests = await this.#transport.digestFiles(
      files.map(({ at }) => at),
      signal,
    );
    const foreign = new Map<number, Entry>();
    await Promise.all(
      asides.map((aside) =>
        this.#limit(async () => {
          const { index, step, at } = aside;
          const digest = digests.get(at);
          const isAsPlanned = step.before?.kind === "file" && digest !== undefined && digest === step.before.digest;
          const found = isAsPlanned ? step.before : await this.#look(at, digest, signal);
          const isForeign = step.before === undefined || !isAsSeen(found, step.before);
          if (found !== undefined && !isAsPlanned && isForeign) {
            foreign.set(index, found);
            await this.#putBack(aside, signal);
          }
          this.#unverified.delete(index);
          this.#verified.add(at);
        }),
      ),
    );
    return foreign;
  }

  /** Removes what was verified. What was not stays: the next apply takes it to the backup. */
  async discard(signal: AbortSignal): Promise<void> {
    await Promise.all([...this.#verified].map((path) => this.#limit(() => this.#transport.deleteFile(path, signal))));
  }

  async #look(at: WorkspacePath, digest: Digest | undefined, signal: AbortSignal): Promise<Entry | undefined> {
    const entry = await this.#transport.stat(at, signal);
    return entry?.kind === "file" && digest !== undefined ? { ...entry, digest } : entry;
  }

  async #putBack({ step, at }: Aside, signal: AbortSignal): Promise<void> {
    const ours =
      step.op === "write" ? (await this.#transport.digestFiles([step.path], signal)).get(step.path) : undefined;
    const isOurs = step.op === "write" && ours === step.digest;
    try {
      await this.#transport.move(at, step.path, { replace: isOurs }, signal);
    } catch (error) {
      if (!hasCode(error, "ALREADY_EXISTS", "IS_A_DIRECTORY", "NOT_FOUND", "NOT_A_DIRECTORY")) throw error;
      await this.#transport.move(at, await this.makeBackupPlace(step.path, signal), { replace: false }, signal);
    }
  }
}
