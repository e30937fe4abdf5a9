import type pLimit from "p-limit";
import { hasCode } from "../../errors.ts";
import type { Step } from "../../plan/plan.ts";
import type { BackupNumbers } from "../../state/backup-names.ts";
import { BACKUPS_PATH } from "../../state/backup-names.ts";
import { ASIDE_NAME, HELD_NAME, removeStateTree } from "../../state/stage.ts";
import { makeStateDirectory } from "../../state/state-file.ts";
import type { Transport } from "../../transport/transport.ts";
import type { Digest } from "../../tree/digest.ts";
import type { Entry } from "../../tree/entry.ts";
import { isAsSeen } from "../../tree/entry.ts";
import type { WorkspacePath } from "../../tree/workspace-path.ts";
import { ancestorsOf, childPath, parentPath } from "../../tree/workspace-path.ts";

type Replacing = Extract<Step, { op: "write" | "create-link" | "delete" }>;

/** Something that a step took out of its place and that is not known yet to be what the plan saw. */
type Aside = { readonly index: number; readonly step: Replacing; readonly at: WorkspacePath };

/**
 * What the steps of one run take out of its place. What they replace or delete is kept below the stage until it is
 * verified: bytes that the plan did not see come back into their place, or go to the backup where something newer stands
 * by then (S20). All of it lies under its path in the workspace: see stage.ts.
 */
export class SetAside {
  readonly #transport: Transport;
  readonly #stage: WorkspacePath;
  readonly #numbers: BackupNumbers;
  readonly #limit: ReturnType<typeof pLimit>;
  readonly #unverified = new Map<number, Aside>();
  readonly #verified = new Set<WorkspacePath>();
  readonly #layers = { [ASIDE_NAME]: new Layers(), [HELD_NAME]: new Layers() };
  readonly #directories = new Map<WorkspacePath, Promise<unknown>>();
  #backup: Promise<WorkspacePath> | undefined;

  /** Works below `stage`, which is made when it is needed; what cannot come back into its place goes to a backup. */
  constructor(transport: Transport, stage: WorkspacePath, numbers: BackupNumbers, limit: ReturnType<typeof pLimit>) {
    this.#transport = transport;
    this.#stage = stage;
    this.#numbers = numbers;
    this.#limit = limit;
  }

  /** Where what stands in the way of a step is to go. */
  async place(index: number, step: Replacing, signal: AbortSignal): Promise<WorkspacePath> {
    const at = await this.#layerPlace(ASIDE_NAME, step.path, signal);
    this.#unverified.set(index, { index, step, at });
    return at;
  }

  /** Where something waits that moves in a circle. */
  async heldPlace(path: WorkspacePath, signal: AbortSignal): Promise<WorkspacePath> {
    return await this.#layerPlace(HELD_NAME, path, signal);
  }

  /** The directory for other things of this run. */
  async makeStage(signal: AbortSignal): Promise<WorkspacePath> {
    await this.#makeDirectory(this.#stage, signal);
    return this.#stage;
  }

  /** The path's place in the backup of this run, in a directory that is there. */
  async makeBackupPlace(path: WorkspacePath, signal: AbortSignal): Promise<WorkspacePath> {
    this.#backup ??= this.#numbers.next(new Date(), signal).then((name) => childPath(BACKUPS_PATH, name));
    const place = childPath(await this.#backup, path);
    await this.#makeDirectory(parentPath(place), signal);
    return place;
  }

  /** The backup of this run; undefined when there is none. Directories that nothing came into are not left in it. */
  async finishBackup(signal: AbortSignal): Promise<WorkspacePath | undefined> {
    const backup = await this.#backup?.catch(() => undefined);
    if (backup === undefined) return undefined;
    const made = [...this.#directories.keys()].flatMap((path) => [path, ...ancestorsOf(path)]);
    const below = [...new Set(made)].filter((path) => path === backup || path.startsWith(`${backup}/`));
    for (const path of below.toSorted((one, other) => other.length - one.length)) {
      await this.#transport.removeDirectory(path, signal).catch((error: unknown) => {
        if (!hasCode(error, "DIRECTORY_NOT_EMPTY", "NOT_POSSIBLE_HERE")) throw error;
      });
    }
    return (await this.#transport.stat(backup, signal)) === undefined ? undefined : backup;
  }

  async #layerPlace(group: "o" | "h", path: WorkspacePath, signal: AbortSignal): Promise<WorkspacePath> {
    const layer = this.#layers[group].of(path);
    const place = childPath(childPath(childPath(this.#stage, group), String(layer)), path);
    await this.#makeDirectory(parentPath(place), signal);
    return place;
  }

  /** Once each, however many ask. */
  async #makeDirectory(path: WorkspacePath, signal: AbortSignal): Promise<void> {
    const made = this.#directories.get(path) ?? makeStateDirectory(this.#transport, path, signal);
    this.#directories.set(path, made);
    await made;
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

  /** Removes what was verified. What was not stays, with the stage: the next apply takes it to a backup. */
  async discard(signal: AbortSignal): Promise<void> {
    await Promise.all([...this.#verified].map((path) => this.#limit(() => this.#transport.deleteFile(path, signal))));
  }

  /** Removes the stage, when nothing is left in it that waits for the next apply. */
  async removeStage(signal: AbortSignal): Promise<void> {
    if (this.#unverified.size === 0 && this.#directories.size > 0)
      await removeStateTree(this.#transport, this.#stage, signal);
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

/** Layers in which a path is set aside: one for all, but where something else was set aside at it, above or below it. */
class Layers {
  readonly #layers: { readonly files: Set<WorkspacePath>; readonly directories: Set<WorkspacePath> }[] = [];

  of(path: WorkspacePath): number {
    const above = ancestorsOf(path);
    const isFree = ({ files, directories }: { files: Set<WorkspacePath>; directories: Set<WorkspacePath> }) =>
      !files.has(path) && !directories.has(path) && !above.some((one) => files.has(one));
    const found = this.#layers.findIndex(isFree);
    const number = found < 0 ? this.#layers.push({ files: new Set(), directories: new Set() }) - 1 : found;
    this.#layers[number]?.files.add(path);
    for (const one of above) this.#layers[number]?.directories.add(one);
    return number;
  }
}
