import type { ConflictRule, PruneRule } from "../manifest/manifest.ts";
import type { PathPolicy } from "../manifest/policy.ts";
import { plural } from "../plural.ts";
import type { Base, BaseChange, BaseEntry } from "../tree/base.ts";
import type { Digest } from "../tree/digest.ts";
import { digestOf } from "../tree/digest.ts";
import type { Entry, Tree } from "../tree/entry.ts";
import { sameContent, sameMode } from "../tree/entry.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { ancestorsOf, comparePaths, isBelow } from "../tree/workspace-path.ts";
import type { Conflict, Standing, Step, Unsupported } from "./plan.ts";
import type { Settlements } from "./settlements.ts";
import { settlementAt } from "./settlements.ts";

/** One path that has to change, and what is known about the bytes that stand there now. */
export type Change = {
  readonly path: WorkspacePath;
  readonly before: Entry | undefined;
  readonly after: Entry | undefined;
  /** Bytes at `before` that are not ours and go to the backup first. */
  readonly foreign: boolean;
};

/** The three trees and the rules between them. */
export type DiffInput = {
  readonly desired: Tree;
  readonly policies: ReadonlyMap<WorkspacePath, PathPolicy>;
  readonly actual: Tree;
  readonly base: Base;
  readonly absent: readonly WorkspacePath[];
  readonly onConflict: ConflictRule;
  /** What was decided about single paths: beats every rule. */
  readonly settlements?: Settlements;
  readonly pruneRule: (path: WorkspacePath) => PruneRule;
  readonly isIgnored: (path: WorkspacePath) => boolean;
  /** False where nothing may be deleted for now (S13, S43): that waits, and base keeps what it knows there. */
  readonly mayDelete: (path: WorkspacePath) => boolean;
  /** Why the session cannot do a step; undefined when it can. */
  readonly unsupported: (step: Step) => string | undefined;
  /** Directories of `actual` below which something ignored lies: they can neither go nor give way (S36). */
  readonly held?: ReadonlySet<WorkspacePath>;
};

export type Diff = {
  /** In path order: a directory before what is in it. Applied to `actual` they give `desired`, conflicts apart. */
  readonly changes: readonly Change[];
  readonly conflicts: readonly Conflict[];
  readonly kept: readonly WorkspacePath[];
  /** What would be deleted, or replaced by something of another kind, if that was not off. */
  readonly waiting: readonly WorkspacePath[];
  /** What stays although something else is wanted there, as the session cannot remove it. */
  readonly unsupported: readonly Unsupported[];
  /** What base learns about paths that no change touches: adopted, kept, forgotten. */
  readonly baseChanges: readonly BaseChange[];
  readonly warnings: readonly string[];
};

/** Compares the three trees by the table in README.md ("How it decides"). Pure; every path is decided once. */
export function diffTrees(input: DiffInput): Diff {
  const differ = new Differ(input);
  const paths = new Set([...input.desired.keys(), ...input.actual.keys(), ...input.base.entries.keys()]);
  for (const path of [...paths].toSorted(comparePaths)) differ.visit(path);
  return differ.finish();
}

/** What became of the bytes at a path since our last apply. Kept bytes are the session's, not ours. */
function standingOf(actual: Entry, known: BaseEntry | undefined): Standing {
  if (known === undefined) return "unmanaged";
  if (known.keptOver !== undefined) return "drifted";
  return sameContent(actual, known.entry) ? "untouched" : "drifted";
}

class Differ {
  readonly #input: DiffInput;
  readonly #changes: Change[] = [];
  readonly #conflicts: Conflict[] = [];
  readonly #kept: WorkspacePath[] = [];
  readonly #waiting: WorkspacePath[] = [];
  readonly #unsupported: Unsupported[] = [];
  /** Directories that are to give way and cannot, for now or ever: everything below them stays. */
  readonly #staying: WorkspacePath[] = [];
  readonly #baseChanges: BaseChange[] = [];
  readonly #warnings: string[] = [];
  /** Directories that give way to a file or link: everything below them goes. */
  readonly #replaced: WorkspacePath[] = [];
  /** Paths in conflict where a directory is wanted: nothing below them can be made. */
  readonly #blocked: WorkspacePath[] = [];
  readonly #absent: ReadonlySet<string>;
  /** For each directory of `actual`, whether something foreign lies below it. */
  #foreignBelow: ReadonlyMap<WorkspacePath, number> | undefined;
  #aboveSpecial: ReadonlySet<WorkspacePath> | undefined;

  constructor(input: DiffInput) {
    this.#input = input;
    this.#absent = new Set(input.absent);
  }

  visit(path: WorkspacePath): void {
    const { desired, actual, base } = this.#input;
    const wanted = desired.get(path);
    const found = actual.get(path);
    const known = base.entries.get(path);
    if (wanted !== undefined && this.#blocked.some((blocked) => isBelow(path, blocked))) return;
    if (wanted === undefined) {
      if (found !== undefined) this.#surplus(path, found, known);
      else if (known !== undefined) this.#forget(path);
    } else if (found === undefined) {
      this.#changes.push({ path, before: undefined, after: wanted, foreign: false });
    } else {
      this.#compare(path, wanted, found, known);
    }
  }

  finish(): Diff {
    const changes = this.#dropFutileDirectoryDeletes();
    return {
      changes,
      conflicts: this.#conflicts,
      kept: this.#kept,
      waiting: this.#waiting,
      unsupported: this.#unsupported,
      baseChanges: this.#baseChanges,
      warnings: this.#warnings,
    };
  }

  #compare(path: WorkspacePath, wanted: Entry, found: Entry, known: BaseEntry | undefined): void {
    const policy = this.#input.policies.get(path);
    if (policy?.seedOnly === true) {
      if (known !== undefined) this.#forget(path);
      return;
    }
    if (sameContent(wanted, found)) {
      const enforced = wanted.kind !== "directory" || policy?.declaredMode === true;
      if (enforced && !sameMode(wanted, found)) {
        this.#changes.push({ path, before: found, after: wanted, foreign: false });
      } else if (
        known === undefined ||
        known.keptOver !== undefined ||
        !sameContent(known.entry, found) ||
        // A run that was cut off may have set a mode and not recorded it: base would call it drift for ever.
        (enforced && !sameMode(known.entry, found))
      ) {
        this.#baseChanges.push({ path, after: { entry: found } });
      }
      return;
    }
    const settled = this.#settledAt(path);
    const isKept = known?.keptOver === identity(wanted) && sameContent(known.entry, found);
    if (isKept && settled !== "overwrite") {
      this.#kept.push(path);
      // As long as it stays, nothing can be made below it.
      if (wanted.kind === "directory") this.#blocked.push(path);
      return;
    }
    const standing = standingOf(found, known);
    const held = found.kind === "directory" ? this.#heldBy(path) : undefined;
    if (held !== undefined) {
      this.#conflicts.push({
        path,
        standing: "unmanaged",
        desired: wanted,
        actual: found,
        reason: `a directory that holds ${held} is in the way`,
        settledBy: [],
      });
      return;
    }
    const foreignBelow = found.kind === "directory" ? this.#countForeignBelow(path) : 0;
    const isOurs = standing === "untouched" && foreignBelow === 0;
    const rule = isOurs ? "overwrite" : (settled ?? policy?.onConflict ?? this.#input.onConflict);
    if (rule === "overwrite" && found.kind !== "special") {
      if (this.#mustWait(path, wanted, found)) return;
      if (found.kind === "directory") this.#replaced.push(path);
      this.#changes.push({ path, before: found, after: wanted, foreign: standing !== "untouched" });
    } else if (rule === "keep") {
      this.#keep(path, wanted, found);
    } else {
      this.#conflict(path, wanted, found, standing === "untouched" ? "unmanaged" : standing, foreignBelow);
    }
  }

  /**
   * A change of kind implies deletions: of a file or link that makes way for a directory, of all that is in a directory
   * that makes way. Where those are off it waits with them, and so does what is wanted below.
   */
  #mustWait(path: WorkspacePath, wanted: Entry, found: Entry): boolean {
    const { actual, mayDelete } = this.#input;
    if (wanted.kind !== "directory" && found.kind !== "directory") return false;
    const cannot =
      found.kind === "directory"
        ? this.#input.unsupported({ op: "delete", path, before: found, backup: false })
        : undefined;
    if (cannot !== undefined) {
      this.#unsupported.push({ path, reason: cannot });
      this.#staying.push(path);
      return true;
    }
    const isLocked = (other: WorkspacePath) => isBelow(other, path) && !mayDelete(other);
    if (mayDelete(path) && !(found.kind === "directory" && [...actual.keys()].some(isLocked))) return false;
    this.#waiting.push(path);
    this.#warnings.push(`${path} is left as it is: it cannot be replaced without a deletion, and those are off`);
    if (found.kind === "directory") this.#staying.push(path);
    if (wanted.kind === "directory") this.#blocked.push(path);
    return true;
  }

  /** Something stands where nothing is desired. */
  #surplus(path: WorkspacePath, found: Entry, known: BaseEntry | undefined): void {
    if (this.#input.isIgnored(path)) {
      if (known !== undefined) this.#forget(path);
      return;
    }
    const standing = standingOf(found, known);
    const isReplaced = this.#replaced.some((replaced) => isBelow(path, replaced));
    const isAbsent = this.#absent.has(path) || ancestorsOf(path).some((ancestor) => this.#absent.has(ancestor));
    const rule = this.#input.pruneRule(path);
    if (isReplaced || isAbsent || (rule === "all" && standing !== "drifted")) {
      if (found.kind === "special") {
        this.#warnings.push(`${path} is a socket, FIFO or device and is left alone`);
        return;
      }
      this.#remove(path, found, standing !== "untouched");
      return;
    }
    if (standing === "unmanaged" || rule === "none") return;
    if (standing === "untouched") {
      this.#remove(path, found, false);
      return;
    }
    const settled = this.#settledAt(path);
    const onConflict = settled ?? this.#input.onConflict;
    if (known?.keptOver !== undefined && settled !== "overwrite") this.#forget(path);
    else if (onConflict === "keep") {
      this.#kept.push(path);
      this.#forget(path);
    } else if (onConflict === "overwrite" && found.kind !== "special") {
      this.#remove(path, found, true);
    } else this.#conflict(path, undefined, found, "drifted", 0);
  }

  #remove(path: WorkspacePath, found: Entry, isForeign: boolean): void {
    const isStaying = this.#staying.some((above) => isBelow(path, above));
    if (isStaying || !this.#input.mayDelete(path)) this.#waiting.push(path);
    else {
      const foreign = isForeign && found.kind !== "directory";
      this.#changes.push({ path, before: found, after: undefined, foreign });
    }
  }

  #keep(path: WorkspacePath, wanted: Entry, found: Entry): void {
    this.#kept.push(path);
    this.#baseChanges.push({ path, after: { entry: found, keptOver: identity(wanted) } });
    if (wanted.kind === "directory") this.#blocked.push(path);
  }

  #conflict(
    path: WorkspacePath,
    wanted: Entry | undefined,
    found: Entry,
    standing: Exclude<Standing, "untouched">,
    foreignBelow: number,
  ): void {
    if (wanted?.kind === "directory") this.#blocked.push(path);
    const reason =
      foreignBelow > 0
        ? `a directory with ${plural(foreignBelow, "entry", "entries")} that agb-sync did not write is in the way`
        : standing === "drifted"
          ? "changed in the session since the last apply"
          : `${found.kind === "file" ? "a file" : `a ${found.kind === "special" ? "special file" : found.kind}`} that agb-sync did not write is there`;
    const settledBy = found.kind === "special" ? { settledBy: ["keep"] as const } : {};
    this.#conflicts.push({ path, standing, desired: wanted, actual: found, reason, ...settledBy });
  }

  #settledAt(path: WorkspacePath) {
    return settlementAt(path, this.#input.settlements ?? new Map());
  }

  #forget(path: WorkspacePath): void {
    this.#baseChanges.push({ path, after: undefined });
  }

  /** What is in a directory that nobody may take away: ignored, or neither file nor link. Else nothing. */
  #heldBy(directory: WorkspacePath): string | undefined {
    if (this.#input.held?.has(directory) === true) return "something ignored, or of a name that cannot be told,";
    this.#aboveSpecial ??= new Set(
      [...this.#input.actual].flatMap(([path, { kind }]) => (kind === "special" ? ancestorsOf(path) : [])),
    );
    return this.#aboveSpecial.has(directory) ? "a socket, FIFO or device" : undefined;
  }

  /** Files, links and special files below `directory` that are not as we left them. Computed once, for all directories. */
  #countForeignBelow(directory: WorkspacePath): number {
    if (this.#foreignBelow === undefined) {
      const counts = new Map<WorkspacePath, number>();
      for (const [path, entry] of this.#input.actual) {
        if (entry.kind === "directory" || standingOf(entry, this.#input.base.entries.get(path)) === "untouched")
          continue;
        for (const ancestor of ancestorsOf(path)) counts.set(ancestor, (counts.get(ancestor) ?? 0) + 1);
      }
      this.#foreignBelow = counts;
    }
    return this.#foreignBelow.get(directory) ?? 0;
  }

  /** A directory that keeps an entry cannot be removed: it leaves base, and what is left in it stays (S10). */
  #dropFutileDirectoryDeletes(): readonly Change[] {
    const goes = new Set<WorkspacePath>();
    for (const change of this.#changes) if (change.after === undefined) goes.add(change.path);
    const held = new Set<WorkspacePath>(this.#input.held);
    const staying = [...this.#input.actual.keys()].filter((path) => !goes.has(path));
    for (const path of [...staying, ...this.#input.desired.keys()]) {
      for (const ancestor of ancestorsOf(path)) held.add(ancestor);
    }
    const aboveWaiting = new Set(this.#waiting.flatMap(ancestorsOf));
    return this.#changes.filter(({ path, before, after }) => {
      const isFutile = after === undefined && before?.kind === "directory" && held.has(path);
      if (isFutile && aboveWaiting.has(path)) this.#waiting.push(path);
      else if (isFutile && this.#input.base.entries.has(path)) this.#forget(path);
      return !isFutile;
    });
  }
}

/** What a kept path is compared with later: the digest of a file, else the written entry. */
function identity(entry: Entry): Digest {
  if (entry.kind === "file" && entry.digest !== undefined) return entry.digest;
  return digestOf(JSON.stringify(entry));
}
