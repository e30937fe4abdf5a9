import { basename, dirname } from "node:path";
import type { Desired } from "../desired/desired.ts";
import type { FileVersion } from "../desired/file-version.ts";
import type { SourceHolder } from "../desired/source-holder.ts";
import type { Entry } from "../tree/entry.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import type { Places } from "./hints.ts";
import { editorUse, savedThrough } from "./temporary-files.ts";
import type { UnsettledFiles } from "./unsettled-files.ts";

/** A file that is written all the time and is no longer than this is kept in memory, to be sent as it was read. */
const SNAPSHOT_BYTES = 16 * 1024 * 1024;

/** What was held back in one look. */
type Notes = {
  /** An editor's own files that are not sent. */
  readonly editors: Set<WorkspacePath>;
  /** Old versions that an editor keeps while it saves, by where they are in the workspace and on this machine. */
  readonly saving: Map<WorkspacePath, string>;
  readonly faults: Map<WorkspacePath, Error>;
};

/** Decides what of the sources is held back now: what editors make while they work, what is being written, what is at fault. */
export class HeldSources implements SourceHolder {
  readonly #unsettled: UnsettledFiles;
  readonly #applied: (path: WorkspacePath) => Entry | undefined;
  #notes: Notes = emptyNotes();
  #before: Notes = this.#notes;
  /** False: a source that cannot be had ends the reading, as in an apply. */
  holdsFaults = false;

  /** `applied`: what the last apply put at a path; then it is not an editor's to hold back. */
  constructor(unsettled: UnsettledFiles, applied: (path: WorkspacePath) => Entry | undefined) {
    this.#unsettled = unsettled;
    this.#applied = applied;
  }

  /** Sources that cannot be had now, by the path that is held back for each. */
  get faults(): ReadonlyMap<WorkspacePath, Error> {
    return this.#notes.faults;
  }

  /** Where an editor is saving: what it leaves behind there is a file like any other soon. */
  get savingPlaces(): Places {
    const places = new Map<string, Set<string>>();
    for (const localPath of this.#notes.saving.values()) {
      const directory = dirname(localPath);
      places.set(directory, (places.get(directory) ?? new Set()).add(basename(localPath)));
    }
    return places;
  }

  /** Whether something is held back as an editor's that the last apply put there after all. */
  get isMistaken(): boolean {
    return [...this.#notes.editors].some((path) => this.#applied(path) !== undefined);
  }

  /** Before a look at everything. */
  startOver(): void {
    this.#before = this.#notes;
    this.#notes = emptyNotes();
  }

  /** After a look at everything that found nothing new. */
  takeBack(): void {
    this.#notes = this.#before;
  }

  /** Before a look at some directories. */
  startAt(directories: Places): void {
    const { saving } = this.#notes;
    for (const [path, localPath] of saving) if (directories.has(dirname(localPath))) saving.delete(path);
  }

  /** After a look at some directories: forgets what is no longer held. */
  keepOnly({ held }: Desired): void {
    const { editors } = this.#notes;
    for (const path of editors) if (!held.has(path)) editors.delete(path);
  }

  /**
   * `desired` with what is missing for a moment held back too: the file that is being saved while its old version has
   * the backup's name, and a file that is deleted and made again all the time, as `placesOf` finds them.
   */
  withMissing(desired: Desired, placesOf: (localPath: string) => readonly WorkspacePath[]): Desired {
    const originals = [...this.#notes.saving.keys()].flatMap((path) => savedThrough(path) ?? []);
    const flickering = [...this.#unsettled.paths].flatMap((localPath) => placesOf(localPath));
    const missing = [...originals, ...flickering].filter((path) => !desired.tree.has(path) && !desired.held.has(path));
    return missing.length === 0 ? desired : { ...desired, held: new Set([...desired.held, ...missing]) };
  }

  isTemporary(path: WorkspacePath, localPath: string, version: FileVersion): boolean {
    const use = editorUse(basename(localPath), version, Date.now());
    if (use === undefined) return false;
    if (savedThrough(path) !== undefined) this.#notes.saving.set(path, localPath);
    if (this.#applied(path) !== undefined) return false;
    if (use === "saving") this.#notes.saving.set(path, localPath);
    this.#notes.editors.add(path);
    return true;
  }

  isUnsettled(path: WorkspacePath, localPath: string, version: FileVersion): boolean {
    const empty = this.holdsFaults && version.sizeBytes === 0 ? version : undefined;
    const entry = empty === undefined ? undefined : this.#applied(path);
    return this.#unsettled.isUnsettled(localPath, empty, entry?.kind === "file" && entry.sizeBytes > 0);
  }

  onRead(localPath: string, version: FileVersion | undefined): void {
    this.#unsettled.noteReading(localPath, version !== undefined);
  }

  keepBytes(localPath: string): number {
    return this.#unsettled.isHeld(localPath) ? SNAPSHOT_BYTES : 0;
  }

  onFault(error: Error, path: WorkspacePath): void {
    if (!this.holdsFaults) throw error;
    this.#notes.faults.set(path, error);
  }
}

function emptyNotes(): Notes {
  return { editors: new Set(), saving: new Map(), faults: new Map() };
}
