import { awaitedBy, targetOf } from "../../plan/order-steps.ts";
import type { PlannedStep, Step } from "../../plan/plan.ts";
import { movedPath } from "../../plan/relocate.ts";
import { quoteForShell } from "../../transport/shell-quote.ts";
import type { Digest } from "../../tree/digest.ts";
import type { Entry } from "../../tree/entry.ts";
import { isClosed, OWNER_ALL } from "../../tree/entry.ts";
import type { WorkspacePath } from "../../tree/workspace-path.ts";
import { ancestorsOf, baseName, isBelow, parentPath } from "../../tree/workspace-path.ts";

/** One line of work in the session and the steps that it stands for, in the order of the names in it. */
type Op = { readonly line: string; readonly steps: readonly number[] };

/** Bytes that an op sets aside in the stage: they must turn out to be those that the plan saw (S20). */
type Displaced = {
  readonly op: number;
  readonly position: number;
  readonly path: WorkspacePath;
  readonly before: { readonly digest: Digest } | { readonly target: string };
  /** What was put in its place; undefined when it was only removed. */
  readonly after: Digest | undefined;
  /** Whether it is removed at the end, after everything else was verified. */
  readonly isLate: boolean;
};

/** A file that an op puts into place: it must hold these bytes when all is done (S34). */
type Placed = {
  readonly op: number;
  readonly position: number;
  readonly path: WorkspacePath;
  readonly digest: Digest;
};

/** Everything the commit script does after its checks, as calls of its functions. Names are quoted words. */
export type CommitOps = {
  readonly ops: readonly Op[];
  readonly displaced: readonly Displaced[];
  readonly placed: readonly Placed[];
  /** Paths where nothing may be when the commit begins. */
  readonly absent: readonly WorkspacePath[];
  /** Files whose bytes must still be those of the plan. */
  readonly files: readonly { readonly path: WorkspacePath; readonly digest: Digest }[];
  /** Links that must still point where the plan saw them pointing. */
  readonly links: readonly { readonly path: WorkspacePath; readonly target: string }[];
};

/** Names in one line: enough to make forks rare, few enough for the limit of one command line. */
const NAMES_BYTES = 60_000;

/** Turns the steps of a plan, in their order, into lines. Pure. */
export function commitOps(steps: readonly PlannedStep[], keepsBackup: boolean): CommitOps {
  const builder = new OpsBuilder(steps, keepsBackup);
  const ops = builder.build();
  return { ...preconditions(steps), ops, displaced: builder.displaced, placed: placedBy(ops, steps) };
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
  readonly displaced: Displaced[] = [];
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
    this.#ops.push({ line: "checkpoint", steps: [] });
    this.#addDeletions(this.#all(isFinal));
    for (const { step } of this.#all((one) => one.op === "create-directory")) {
      if (step.op !== "create-directory" || !isClosed(step.mode)) continue;
      if (this.#all((other) => other.op === "set-mode" && other.path === step.path).length > 0) continue;
      this.#add(step.path, [], `C ${octal(step.mode)} ${quoteForShell(baseName(step.path))}`, []);
    }
    for (const { step, index } of held) {
      if (step.op !== "move") continue;
      const place = [parentPath(step.from), baseName(step.from)].map(quoteForShell).join(" ");
      this.#ops.push({ line: `U ${index} ${place}`, steps: [] });
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
      case "create-link": {
        const how = this.#howToReplace(step);
        if (how === "r") this.#noteDisplaced([index], false);
        this.#add(step.path, [index], `L ${how} ${quoteForShell(step.target)} ${name}`, after);
        return;
      }
      case "move": {
        if (!step.held && baseName(step.from) === baseName(step.to)) {
          this.#addMoveOfSameName(step, index);
          return;
        }
        const call = step.held
          ? `P ${index} ${quoteForShell(step.from)} ${name}`
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
    if (step.before.kind === "directory") this.#add(step.path, [index], `Y ${name}`, this.#after(index));
    else if (step.backup && this.#keepsBackup) this.#add(step.path, [index], `B ${name}`, this.#after(index));
    else {
      this.#noteDisplaced([index], false);
      this.#add(step.path, [index], `X ${name}`, this.#after(index));
    }
  }

  /** What the op that comes next sets aside. */
  #noteDisplaced(indexes: readonly number[], isLate: boolean): void {
    const op = this.#ops.length;
    indexes.forEach((index, position) => {
      const step = this.#steps[index]?.step;
      if (step === undefined || !("before" in step) || step.op === "move" || step.op === "set-mode") return;
      const { before, path } = step;
      const after = step.op === "write" ? step.digest : undefined;
      if (before?.kind === "file" && before.digest !== undefined)
        this.displaced.push({ op, position, path, before: { digest: before.digest }, after, isLate });
      if (before?.kind === "link" && before.target !== undefined)
        this.displaced.push({ op, position, path, before: { target: before.target }, after, isLate });
    });
  }

  /** `n`: nothing may be there; `r`: what is there is set aside until it is verified; `b`: it goes to the backup. */
  #howToReplace(step: { readonly before?: Entry; readonly backup: boolean }): "n" | "r" | "b" {
    if (step.before === undefined) return "n";
    return step.backup && this.#keepsBackup ? "b" : "r";
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
    const groups = new Map<string, { path: WorkspacePath; how: string; members: { index: number; name: string }[] }>();
    for (const { step, index } of this.#all((one) => one.op === "write")) {
      if (step.op !== "write" || this.#opOfStep.has(index)) continue;
      const name = quoteForShell(baseName(step.path));
      const isFile = step.before === undefined || step.before.kind === "file";
      // A link in the way is set aside first: `mv` onto it would be right too, but its text could not be checked.
      if (!isFile) this.#addRoom(step, index, name);
      const how = isFile ? this.#howToReplace(step) : "n";
      const key = `${how}${parentPath(step.path)}`;
      const group = groups.get(key) ?? { path: step.path, how, members: [] };
      groups.set(key, group);
      group.members.push({ index, name });
    }
    for (const { path, how, members } of groups.values()) {
      for (const some of inLines(members)) {
        const indexes = some.map(({ index }) => index);
        const after = indexes.flatMap((index) => [...this.#after(index), index]);
        if (how === "r") this.#noteDisplaced(indexes, false);
        this.#add(path, indexes, `W ${how} ${some.map(({ name }) => name).join(" ")}`, after);
      }
    }
  }

  #addRoom(step: Extract<Step, { op: "write" }>, index: number, name: string): void {
    const isKept = this.#howToReplace(step) === "b";
    if (!isKept) this.#noteDisplaced([index], false);
    this.#add(step.path, [index], isKept ? `B ${name}` : `X ${name}`, this.#after(index));
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
        const indexes = some.map(({ index }) => index);
        this.#noteDisplaced(indexes, true);
        this.#add(path, indexes, `X ${some.map(({ name }) => name).join(" ")}`, []);
      }
    }
    for (const { step, index } of deletions) {
      if (step.op === "delete" && step.before.kind === "directory") this.#addDelete(step, index);
    }
  }
}

/** Which op puts each file into place: the one that wrote it, moved it there, or brought it with its directory. */
function placedBy(ops: readonly Op[], steps: readonly PlannedStep[]): readonly Placed[] {
  const places = new Map<number, { readonly op: number; readonly position: number }>();
  ops.forEach((op, number) => {
    op.steps.forEach((index, position) => places.set(index, { op: number, position }));
  });
  return steps.flatMap(({ step }, index): Placed[] => {
    const place = places.get(index);
    const digest =
      step.op === "write"
        ? step.digest
        : step.op === "move" && step.before.kind === "file"
          ? step.before.digest
          : undefined;
    return place === undefined || digest === undefined ? [] : [{ ...place, path: targetOf(step), digest }];
  });
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

function preconditions(steps: readonly PlannedStep[]): Pick<CommitOps, "absent" | "files" | "links"> {
  const freed = new Set<WorkspacePath>();
  for (const { step } of steps) {
    if (step.op === "delete") freed.add(step.path);
    if (step.op === "move") freed.add(step.from);
  }
  const isFreed = (path: WorkspacePath) => freed.has(path) || ancestorsOf(path).some((ancestor) => freed.has(ancestor));
  const created = new Set(steps.flatMap(({ step }) => (step.op === "create-directory" ? [step.path] : [])));
  const absent: WorkspacePath[] = [];
  const files: { path: WorkspacePath; digest: Digest }[] = [];
  const links: { path: WorkspacePath; target: string }[] = [];
  const moves: Extract<Step, { op: "move" }>[] = [];
  /** Where a thing is before the moves so far were done: it may have come with one of them. */
  const placeNow = (later: WorkspacePath) =>
    moves.reduceRight(
      (path, { from, to }) => (path === to || isBelow(path, to) ? movedPath(path, to, from) : path),
      later,
    );
  const expect = (path: WorkspacePath, before: Entry | undefined) => {
    if (before?.kind === "file" && before.digest !== undefined) files.push({ path, digest: before.digest });
    if (before?.kind === "link" && before.target !== undefined) links.push({ path, target: before.target });
  };
  for (const { step } of steps) {
    if (step.op === "set-mode") continue;
    const before = step.op === "create-directory" || step.op === "move" ? undefined : step.before;
    const to = targetOf(step);
    const isBelowNew = ancestorsOf(to).some((ancestor) => created.has(ancestor));
    if (step.op === "move") expect(step.held ? step.from : placeNow(step.from), step.before);
    if (before !== undefined) expect(placeNow(to), before);
    else if (!isFreed(to) && !isBelowNew) absent.push(placeNow(to));
    if (step.op === "move") moves.push(step);
  }
  return { absent, files, links };
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, "0");
}
