import { targetOf } from "../../plan/order-steps.ts";
import type { PlannedStep, Step } from "../../plan/plan.ts";
import { quoteForShell } from "../../transport/shell-quote.ts";
import type { Entry } from "../../tree/entry.ts";
import type { WorkspacePath } from "../../tree/workspace-path.ts";
import { ancestorsOf, baseName, parentPath } from "../../tree/workspace-path.ts";
import { awaitedBy } from "../step-run.ts";

/** One line of work in the session and the steps that it stands for; `perName` lines up with the names of the line. */
export type Op = { readonly line: string; readonly steps: readonly number[] };

/** Everything the commit script does after its checks, as calls of its functions. Names are quoted words. */
export type CommitOps = {
  readonly ops: readonly Op[];
  /** Paths where nothing may be when the commit begins. */
  readonly absent: readonly WorkspacePath[];
  /** Files whose bytes must still be those of the plan. */
  readonly files: readonly { readonly path: WorkspacePath; readonly digest: string }[];
  /** Links that must still point where the plan saw them pointing. */
  readonly links: readonly { readonly path: WorkspacePath; readonly target: string }[];
};

/** An owner can always change what is in a directory while the commit runs; its mode is set at the end. */
export const OWNER_ALL = 0o700;
/** Names in one line: enough to make forks rare, few enough for the limit of one command line. */
const NAMES_BYTES = 60_000;

/** Turns the steps of a plan, in their order, into lines. Pure. */
export function commitOps(steps: readonly PlannedStep[], keepsBackup: boolean): CommitOps {
  const builder = new OpsBuilder(steps, keepsBackup);
  return { ops: builder.build(), ...preconditions(steps) };
}

/** A line of moves that is still growing. */
type MoveRun = {
  readonly op: number;
  readonly from: WorkspacePath;
  readonly to: WorkspacePath;
  readonly names: string[];
  readonly steps: number[];
  sizeBytes: number;
};

class OpsBuilder {
  readonly #steps: readonly PlannedStep[];
  readonly #keepsBackup: boolean;
  readonly #ops: Op[] = [];
  readonly #opOfStep = new Map<number, number>();
  readonly #newDirectories: ReadonlySet<WorkspacePath>;
  #moves: MoveRun | undefined;

  constructor(steps: readonly PlannedStep[], keepsBackup: boolean) {
    this.#steps = steps;
    this.#keepsBackup = keepsBackup;
    this.#newDirectories = new Set(steps.flatMap(({ step }) => (step.op === "create-directory" ? [step.path] : [])));
  }

  build(): readonly Op[] {
    const awaited = awaitedBy(this.#steps);
    const isFinal = (step: Step, index: number) => step.op === "delete" && !awaited.has(index);
    const held = this.#all((step) => step.op === "move" && step.held);
    for (const { step, index } of held) {
      if (step.op === "move") this.#add(step.from, [index], `H ${index} ${quoteForShell(baseName(step.from))}`, []);
    }
    let hasWritten = false;
    this.#steps.forEach(({ step }, index) => {
      if (isFinal(step, index)) return;
      if (step.op === "write" && hasWritten) return;
      if (step.op === "write") {
        hasWritten = true;
        this.#addWrites();
      } else this.#addStep(step, index);
    });
    this.#ops.push({ line: "only_if_all_went_well", steps: [] });
    this.#addDeletions(this.#all(isFinal));
    for (const { step } of this.#all((one) => one.op === "create-directory")) {
      if (step.op !== "create-directory" || (step.mode & OWNER_ALL) === OWNER_ALL) continue;
      if (this.#all((other) => other.op === "set-mode" && other.path === step.path).length > 0) continue;
      this.#add(step.path, [], `C ${octal(step.mode)} ${quoteForShell(baseName(step.path))}`, []);
    }
    for (const { step, index } of held) {
      if (step.op === "move") this.#add(step.from, [], `U ${index} ${quoteForShell(baseName(step.from))}`, []);
    }
    return this.#ops;
  }

  #all(isChosen: (step: Step, index: number) => boolean) {
    return this.#steps.flatMap(({ step }, index) => (isChosen(step, index) ? [{ step, index }] : []));
  }

  /** Adds a line that works in the parent of `path`. */
  #add(path: WorkspacePath, steps: readonly number[], call: string, waitsFor: readonly number[]): void {
    const number = this.#ops.length;
    const needs = new Set(
      waitsFor.flatMap((step) => {
        const op = this.#opOfStep.get(step);
        return op === undefined || op === number ? [] : [op];
      }),
    );
    const parent = parentPath(path);
    this.#ops.push({ line: `o ${number} '${[...needs].join(" ")}' ${quoteForShell(parent)} ${call}`, steps });
    for (const step of steps) this.#opOfStep.set(step, number);
  }

  #after(index: number): readonly number[] {
    return this.#steps[index]?.after ?? [];
  }

  #addStep(step: Step, index: number): void {
    const name = quoteForShell(baseName(targetOf(step)));
    const after = this.#after(index);
    switch (step.op) {
      case "create-directory":
        this.#addDirectory(step.path, step.mode, index);
        return;
      case "create-link":
        if (step.before !== undefined) this.#add(step.path, [index], this.#makeRoom(step.backup, name), after);
        this.#add(step.path, [index], `L ${quoteForShell(step.target)} ${name}`, [...after, index]);
        return;
      case "move": {
        if (!step.held && baseName(step.from) === baseName(step.to)) {
          this.#addMoveOfSameName(step, index);
          return;
        }
        const call = step.held
          ? `P ${index} ${name}`
          : `M ${quoteForShell(parentPath(step.to))} ${quoteForShell(baseName(step.from))} ${name}`;
        this.#add(step.held ? step.to : step.from, [index], call, [...after, index]);
        return;
      }
      case "set-mode":
        this.#add(step.path, [index], `C ${octal(step.mode)} ${name}`, after);
        return;
      case "delete":
        this.#addDelete(step, index);
        return;
      case "write":
        return;
    }
  }

  /** Neighbours that keep their names go from one directory to another in one line: a directory's rename is a few forks. */
  #addMoveOfSameName(step: Extract<Step, { op: "move" }>, index: number): void {
    const after = this.#after(index);
    const last = this.#moves;
    const isNeighbour =
      last !== undefined &&
      last.op === this.#ops.length - 1 &&
      last.from === parentPath(step.from) &&
      last.to === parentPath(step.to) &&
      last.sizeBytes < NAMES_BYTES &&
      after.every((other) => !last.steps.includes(other));
    const run: MoveRun = isNeighbour
      ? last
      : {
          op: this.#ops.length,
          from: parentPath(step.from),
          to: parentPath(step.to),
          names: [],
          steps: [],
          sizeBytes: 0,
        };
    if (isNeighbour) this.#ops.pop();
    run.names.push(quoteForShell(baseName(step.from)));
    run.steps.push(index);
    run.sizeBytes += Buffer.byteLength(step.from) * 2 + 40;
    this.#moves = run;
    const waitsFor = run.steps.flatMap((one) => this.#after(one));
    this.#add(step.from, [...run.steps], `N ${quoteForShell(run.to)} ${run.names.join(" ")}`, waitsFor);
  }

  #addDelete(step: Extract<Step, { op: "delete" }>, index: number): void {
    const name = quoteForShell(baseName(step.path));
    const call =
      step.before.kind === "directory" ? `Y ${name}` : step.backup && this.#keepsBackup ? `B ${name}` : `X ${name}`;
    this.#add(step.path, [index], call, this.#after(index));
  }

  /** A new directory below an old one comes with everything that was staged in it, by one rename. */
  #addDirectory(path: WorkspacePath, mode: number, index: number): void {
    if (this.#newDirectories.has(parentPath(path))) return;
    const below = this.#all(
      (step) =>
        (step.op === "create-directory" || (step.op === "write" && step.before === undefined)) &&
        step.path.startsWith(`${path}/`),
    );
    const steps = [index, ...below.map((step) => step.index)];
    const after = steps.flatMap((step) => this.#after(step));
    this.#add(path, steps, `T ${octal(mode | OWNER_ALL)} ${quoteForShell(baseName(path))}`, after);
  }

  /** Files that do not come with a new directory, many of one directory at a time. */
  #addWrites(): void {
    const groups = new Map<
      string,
      { path: WorkspacePath; isNew: boolean; members: { index: number; name: string }[] }
    >();
    for (const { step, index } of this.#all((one) => one.op === "write")) {
      if (step.op !== "write" || this.#opOfStep.has(index)) continue;
      if (step.before !== undefined && step.backup) {
        const name = quoteForShell(baseName(step.path));
        this.#add(step.path, [index], this.#makeRoom(true, name), this.#after(index));
      }
      const isNew = step.before === undefined || step.backup;
      const key = `${isNew ? "n" : "r"}${parentPath(step.path)}`;
      const group = groups.get(key) ?? { path: step.path, isNew, members: [] };
      groups.set(key, group);
      group.members.push({ index, name: quoteForShell(baseName(step.path)) });
    }
    for (const { path, isNew, members } of groups.values()) {
      for (const some of inLines(members)) {
        const indexes = some.map(({ index }) => index);
        const after = indexes.flatMap((index) => [...this.#after(index), index]);
        this.#add(path, indexes, `W ${isNew ? "n" : "r"} ${some.map(({ name }) => name).join(" ")}`, after);
      }
    }
  }

  #addDeletions(deletions: readonly { readonly step: Step; readonly index: number }[]): void {
    const groups = new Map<WorkspacePath, { path: WorkspacePath; members: { index: number; name: string }[] }>();
    for (const { step, index } of deletions) {
      if (step.op !== "delete" || step.before.kind === "directory") continue;
      if (step.backup && this.#keepsBackup) {
        this.#addDelete(step, index);
        continue;
      }
      const group = groups.get(parentPath(step.path)) ?? { path: step.path, members: [] };
      groups.set(parentPath(step.path), group);
      group.members.push({ index, name: quoteForShell(baseName(step.path)) });
    }
    for (const { path, members } of groups.values()) {
      for (const some of inLines(members)) {
        this.#add(
          path,
          some.map(({ index }) => index),
          `X ${some.map(({ name }) => name).join(" ")}`,
          [],
        );
      }
    }
    for (const { step, index } of deletions) {
      if (step.op === "delete" && step.before.kind === "directory") this.#addDelete(step, index);
    }
  }

  #makeRoom(backup: boolean, name: string): string {
    return backup && this.#keepsBackup ? `B ${name}` : `X ${name}`;
  }
}

function inLines<Member extends { readonly name: string }>(members: readonly Member[]): readonly (readonly Member[])[] {
  const lines: Member[][] = [];
  let roomBytes = 0;
  for (const member of members) {
    const sizeBytes = Buffer.byteLength(member.name) * 2 + 40;
    if (lines.length === 0 || sizeBytes > roomBytes) {
      lines.push([]);
      roomBytes = NAMES_BYTES;
    }
    lines.at(-1)?.push(member);
    roomBytes -= sizeBytes;
  }
  return lines;
}

function preconditions(steps: readonly PlannedStep[]): Omit<CommitOps, "ops"> {
  const freed = new Set<WorkspacePath>();
  for (const { step } of steps) {
    if (step.op === "delete") freed.add(step.path);
    if (step.op === "move") freed.add(step.from);
  }
  const isFreed = (path: WorkspacePath) => freed.has(path) || ancestorsOf(path).some((ancestor) => freed.has(ancestor));
  const created = new Set(steps.flatMap(({ step }) => (step.op === "create-directory" ? [step.path] : [])));
  const absent: WorkspacePath[] = [];
  const files: { path: WorkspacePath; digest: string }[] = [];
  const links: { path: WorkspacePath; target: string }[] = [];
  const expect = (path: WorkspacePath, before: Entry | undefined) => {
    if (before?.kind === "file" && before.digest !== undefined) files.push({ path, digest: before.digest });
    if (before?.kind === "link" && before.target !== undefined) links.push({ path, target: before.target });
  };
  for (const { step } of steps) {
    if (step.op === "set-mode") continue;
    const before = step.op === "create-directory" || step.op === "move" ? undefined : step.before;
    const to = targetOf(step);
    const isBelowNew = ancestorsOf(to).some((ancestor) => created.has(ancestor));
    if (step.op === "move") expect(step.from, step.before);
    if (before !== undefined) expect(to, before);
    else if (!isFreed(to) && !isBelowNew) absent.push(to);
  }
  return { absent, files, links };
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, "0");
}
