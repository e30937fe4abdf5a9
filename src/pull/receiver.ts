import { stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { AgbSyncError, hasCode, messageOf } from "../errors.ts";
import { ignoreMatcher } from "../manifest/ignore-matcher.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { isBelow, isStatePath, ROOT, workspacePath, workspacePathFault } from "../tree/workspace-path.ts";
import type { Staged } from "./local-target.ts";
import { LocalTarget } from "./local-target.ts";
import type { PullOptions, PullOutcome, PullReport, PullSpec } from "./pull-report.ts";
import type { RemoteEntry } from "./remote-entry.ts";

type Incoming = {
  readonly path: string;
  readonly inner: string;
  readonly target: LocalTarget;
  readonly to: string;
} & ({ readonly directory: number } | { readonly item: Staged });

/** Takes what comes, stages it, and puts it into place when all of it is there. */
export class Receiver {
  readonly #specs: readonly { readonly spec: PullSpec; readonly isExcluded: ReturnType<typeof ignoreMatcher> }[];
  readonly #options: PullOptions;
  readonly #changed: ReadonlySet<WorkspacePath> | undefined;
  readonly #targets = new Map<string, Promise<LocalTarget>>();
  readonly #incoming: Incoming[] = [];
  readonly #outcomes: PullOutcome[] = [];
  readonly #seen = new Set<string>();
  /** Specs of which something came. */
  readonly #found = new Set<PullSpec>();
  #isWhole = true;

  constructor(specs: readonly PullSpec[], options: PullOptions, changed: ReadonlySet<WorkspacePath> | undefined) {
    this.#specs = specs.map((spec) => ({ spec, isExcluded: ignoreMatcher(spec.exclude ?? []) }));
    this.#options = options;
    this.#changed = changed;
  }

  /** Whether no spec wants the path. */
  isExcluded(path: WorkspacePath, isDirectory: boolean): boolean {
    return this.#specsFor(path, isDirectory).length === 0;
  }

  async receive(entry: RemoteEntry): Promise<void> {
    const { name, kind } = entry;
    const written = name.replace(/^(?:\.\/)+/, "").replace(/\/+$/, "");
    const path = written === "" || written === "." ? ROOT : pathIn(written);
    if (isStatePath(written)) return;
    if (path === undefined) {
      this.#refuse(name, `its name ${faultOf(name)}`);
      return;
    }
    const asked = this.#specs.some(({ spec }) => path === spec.path || isBelow(path, spec.path));
    if (!asked) {
      this.#refuse(name, "nobody asked for it");
      return;
    }
    const specs = this.#specsFor(path, kind === "directory");
    if (specs.length === 0 || (this.#changed !== undefined && !this.#changed.has(path))) return;
    if (entry.kind === "odd") {
      this.#refuse(path, `it is ${entry.what ?? "of another kind"}`);
      return;
    }
    if (this.#seen.has(path)) {
      this.#refuse(path, "it came twice");
      return;
    }
    this.#seen.add(path);
    for (const [index, spec] of specs.entries()) {
      this.#found.add(spec);
      if (index === 0 || kind !== "file") await this.#stage(path, entry, spec);
      else this.#refuse(path, "it is meant for two places; name it once");
    }
  }

  /** What the session could not read. */
  fail(faults: readonly string[]): void {
    for (const reason of faults) {
      this.#isWhole = false;
      // Of what is not there `finish` tells; the other is no reason.
      if (/No such file or directory$|failure status due to previous errors$|exit delayed/.test(reason)) continue;
      this.#outcomes.push({ path: "", to: undefined, status: "failed", reason });
    }
  }

  /** Puts everything into its place. */
  async finish(): Promise<PullReport> {
    let [unchanged, bytes] = [0, 0];
    for (const { spec } of this.#specs) {
      if (this.#found.has(spec) || this.#changed !== undefined) continue;
      this.#isWhole = false;
      this.#outcomes.push({ path: spec.path, to: spec.to, status: "failed", reason: "it is not there in the session" });
    }
    const links = this.#incoming.filter((one) => "item" in one && one.item.kind === "link");
    // A link comes last, so that nothing is put through it.
    for (const one of [...this.#incoming.filter((other) => !links.includes(other)), ...links]) {
      if (this.#options.signal.aborted) throw new AgbSyncError("ABORTED", "stopped while files were put into place");
      const { path, to, inner, target } = one;
      const placed =
        "directory" in one ? await target.placeDirectory(inner, one.directory) : await target.place(inner, one.item);
      if (placed.status === "unchanged") unchanged += 1;
      else if (!("directory" in one) || placed.status !== "created") {
        const sizeBytes = "item" in one ? one.item.sizeBytes : 0;
        if (placed.status === "created" || placed.status === "replaced") bytes += sizeBytes;
        this.#outcomes.push({ path, to, ...placed, ...("item" in one ? { sizeBytes } : {}) });
      }
    }
    await this.#prune();
    return { outcomes: this.#outcomes, unchanged, bytes };
  }

  async close(): Promise<void> {
    for (const target of this.#targets.values()) await (await target).close();
  }

  async #prune(): Promise<void> {
    if (!this.#isWhole || this.#changed !== undefined) return;
    for (const { spec } of this.#specs) {
      const target = await this.#targets.get(spec.to);
      if (spec.prune !== true || target === undefined) continue;
      const seen = new Set(this.#incoming.filter((one) => one.target === target).map(({ inner }) => inner));
      for (const [inner, placed] of await target.prune("", seen)) {
        this.#outcomes.push({ path: join(spec.path, inner), to: join(spec.to, inner), ...placed });
      }
    }
  }

  #specsFor(path: WorkspacePath, isDirectory: boolean): readonly PullSpec[] {
    return this.#specs.flatMap(({ spec, isExcluded }) => {
      if (path === spec.path) return [spec];
      if (!isBelow(path, spec.path)) return [];
      const inner = workspacePath(spec.path === "" ? path : path.slice(spec.path.length + 1));
      const names = inner.split("/");
      const isOut = names.some((_, index) => {
        const above = workspacePath(names.slice(0, index + 1).join("/"));
        return isExcluded(above, index < names.length - 1 || isDirectory);
      });
      return isOut ? [] : [spec];
    });
  }

  async #stage(path: WorkspacePath, entry: RemoteEntry, spec: PullSpec): Promise<void> {
    const isItself = path === spec.path && entry.kind !== "directory";
    const isInto = isItself && (spec.isInto === true || (await isDirectory(spec.to)));
    const base = isItself && !isInto ? dirname(spec.to) : spec.to;
    const inner = isItself
      ? basename(isInto ? path : spec.to)
      : path.slice(spec.path === "" ? 0 : Math.min(path.length, spec.path.length + 1));
    const target = await this.#targetAt(base);
    const where = { path, inner, target, to: join(base, inner) };
    if (entry.kind === "directory") {
      this.#incoming.push({ ...where, directory: (entry.mode ?? 0o755) | 0o700 });
    } else if (entry.kind === "link") {
      const fault = linkFault(inner, entry.target);
      if (fault === undefined) this.#incoming.push({ ...where, item: await target.stageLink(entry.target ?? "") });
      else this.#refuse(path, fault);
    } else {
      try {
        const item = await target.stageFile(entry.bytes(), entry.mode ?? 0o644, this.#options.signal);
        this.#incoming.push({ ...where, item });
      } catch (error) {
        if (!hasCode(error, "PERMISSION_DENIED", "NOT_FOUND", "IS_A_DIRECTORY")) throw error;
        this.#isWhole = false;
        this.#outcomes.push({ path, to: where.to, status: "failed", reason: messageOf(error) });
      }
    }
  }

  async #targetAt(base: string): Promise<LocalTarget> {
    const { force = false, dryRun = false, cacheDirectory } = this.#options;
    const target = this.#targets.get(base) ?? LocalTarget.open(base, { force, dryRun, cacheDirectory });
    this.#targets.set(base, target);
    return await target;
  }

  #refuse(path: string, reason: string): void {
    this.#isWhole = false;
    this.#outcomes.push({ path, to: undefined, status: "refused", reason });
  }
}

/** Undefined for what is no path; what was no text in the session has become a sign of its own. */
function pathIn(name: string): WorkspacePath | undefined {
  return workspacePathFault(name) === undefined && !name.includes("\ufffd") ? workspacePath(name) : undefined;
}

function faultOf(name: string): string {
  if (name.includes("\ufffd")) return "is not valid text";
  return workspacePathFault(name) ?? "is not plain";
}

/** Links lead to something below the place that they are pulled to, whatever other links stand there. */
function linkFault(inner: string, target: string | undefined): string | undefined {
  if (target === undefined || target === "") return "the session does not say where the link leads";
  if (target.startsWith("/")) return "the link leads to an absolute place";
  if (target.includes("\ufffd") || target.includes("\0")) return "the link's target is not valid text";
  const names = target.split("/").filter((name) => name !== "" && name !== ".");
  const ups = names.findIndex((name) => name !== "..");
  const leading = ups < 0 ? names.length : ups;
  if (names.slice(leading).includes("..")) return "the link has .. after a name that may be a link itself";
  return leading > inner.split("/").length - 1 ? "the link leads out of the place that it is pulled to" : undefined;
}

async function isDirectory(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
}
