import { AgbSyncError, hasCode, messageOf } from "../errors.ts";
import { ignoreMatcher } from "../manifest/ignore-matcher.ts";
import type { FileSpec, Manifest, Position, TreeSpec } from "../manifest/manifest.ts";
import type { Problem } from "../manifest/manifest-error.ts";
import { ManifestError } from "../manifest/manifest-error.ts";
import type { PathPolicy, PruneScope } from "../manifest/policy.ts";
import type { Content } from "../tree/content.ts";
import { memoryContent } from "../tree/content.ts";
import type { Digest } from "../tree/digest.ts";
import type { Entry, Mode } from "../tree/entry.ts";
import { treeDigest } from "../tree/tree-digest.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { ancestorsOf } from "../tree/workspace-path.ts";
import { checkTreeLinks } from "./check-tree-links.ts";
import type { Desired, EmptyTree } from "./desired.ts";
import type { FileVersion } from "./file-version.ts";
import { versionOf } from "./file-version.ts";
import { localContent, readLocalFile, SourceChangedError } from "./local-file.ts";
import { lockFileOf } from "./lock-file-of.ts";
import { isGone, lookAtSource } from "./look-at-source.ts";
import type { OwnDirectories } from "./own-directories.ts";
import { identitiesOf } from "./own-directories.ts";
import { readTemplate } from "./read-template.ts";
import type { SourceCache } from "./source-cache.ts";
import type { SourceHolder } from "./source-holder.ts";
import type { SourceEntry, SourceWalk } from "./walk-source-tree.ts";
import { walkSourceTree } from "./walk-source-tree.ts";

export type ReadOptions = {
  readonly signal: AbortSignal;
  /** A tree that is not there is told in `emptyTrees`: what a former apply brought from it decides what that means. */
  readonly toleratesMissingTrees?: boolean;
  readonly cache?: SourceCache;
  /** Without it the first source that cannot be had ends the reading. */
  readonly holder?: SourceHolder;
  /** Looks at the source of a file; default {@link lookAtSource}. */
  readonly lookAt?: typeof lookAtSource;
  /** What needs the id of a session is told in `waiting` instead of ending the reading: for checks without a session. */
  readonly toleratesWaiting?: boolean;
  /** Directories that agb-sync keeps for itself. */
  readonly own?: OwnDirectories;
  /** Only some directories of the trees are read: where links lead is known to the caller alone. */
  readonly isPart?: boolean;
  /** Walks a tree; default {@link walkSourceTree}. */
  readonly walk?: (spec: TreeSpec) => SourceWalk;
};

/** Bytes of small files that are kept so that they need not be read twice: this much in all, and this much a file. */
const KEPT_BYTES_IN_ALL = 32 * 1024 * 1024;
const KEPT_BYTES_A_FILE = 64 * 1024;
/** Files hashed between two looks at the signal and the event loop. */
const FILES_A_TURN = 200;

/**
 * Reads everything local that the manifest names and says what the workspace is to hold. Memory is bounded: contents
 * beyond a few megabytes are read again when they are sent.
 * @throws {AgbSyncError} `SOURCE_MISSING`, `SOURCE_ESCAPES`, `SOURCE_TOO_LARGE`, `ABORTED`; {ManifestError} for templates.
 */
export async function readSources(manifest: Manifest, options: ReadOptions): Promise<Desired> {
  const reader = new SourceReader(manifest, options);
  return await reader.read();
}

/** By this a warning about the key is known. */
export const HOLDS_KEY = "holds AGB_API_KEY";

type ListedFile = Extract<SourceEntry, { kind: "file" }>;
type Source = {
  readonly localPath: string;
  /** Where it lies without links. */
  readonly realPath: string;
  readonly version: FileVersion;
  readonly sensitive: boolean;
};
type Declaration = { readonly mode?: Mode; readonly policy: PathPolicy; readonly at: Position };

class SourceReader {
  readonly #manifest: Manifest;
  readonly #options: ReadOptions;
  readonly #tree = new Map<WorkspacePath, Entry>();
  readonly #contents = new Map<Digest, Content>();
  readonly #policies = new Map<WorkspacePath, PathPolicy>();
  readonly #positions = new Map<WorkspacePath, Position>();
  readonly #emptyTrees: EmptyTree[] = [];
  readonly #unreadable: string[] = [];
  readonly #warnings: string[] = [];
  readonly #problems: Problem[] = [];
  readonly #waiting: Position[] = [];
  readonly #varying = new Map<WorkspacePath, readonly string[]>();
  readonly #leftOut = new Set<WorkspacePath>();
  readonly #held = new Set<WorkspacePath>();
  /** The tree that each link comes from, if it is not declared. */
  readonly #treeOf = new Map<WorkspacePath, TreeSpec>();
  /** What tells the files that hold the key from all others, by whatever name they are reached. */
  readonly #keyVersions: ReadonlySet<string>;
  #keptBytes = 0;
  #filesRead = 0;

  constructor(manifest: Manifest, options: ReadOptions) {
    this.#manifest = manifest;
    this.#options = options;
    this.#keyVersions = new Set((manifest.keyFiles ?? []).flatMap((file) => versionAt(file) ?? []));
  }

  async read(): Promise<Desired> {
    const { directories, files, trees, links } = this.#manifest;
    this.#expectSession();
    for (const tree of trees) await this.#orHold(tree.path, () => this.#readTree(tree));
    for (const { path, mode, at } of directories)
      this.#putDirectory(path, { ...modeOf(mode), policy: policyOf(mode !== undefined), at });
    for (const file of files) await this.#orHold(file.path, () => this.#readFile(file));
    for (const { path, target, at } of links) {
      this.#put(path, { kind: "link", target }, { policy: policyOf(false), at });
      this.#treeOf.delete(path);
    }
    if (this.#options.isPart !== true) this.#checkLinks();
    if (this.#problems.length > 0) throw new ManifestError(this.#problems);
    return {
      tree: this.#tree,
      contents: this.#contents,
      digest: treeDigest(this.#tree),
      policies: this.#policies,
      positions: this.#positions,
      pruneScopes: this.#pruneScopes(),
      emptyTrees: this.#emptyTrees,
      unreadable: this.#unreadable,
      waiting: this.#waiting,
      varying: this.#varying,
      warnings: this.#warnings,
      leftOut: this.#leftOut,
      held: this.#held,
    };
  }

  /** Entries that hold the session's id were left out of the manifest: what is read without them is not what is desired. */
  #expectSession(): void {
    const { waiting, file, variables, usesSessionId } = this.#manifest;
    if (!usesSessionId || variables.sessionId !== undefined) return;
    this.#waiting.push(...waiting);
    if (this.#options.toleratesWaiting === true) return;
    throw new AgbSyncError("SESSION_ID_NEEDED", `${file} holds \${session.id}, and there is no session yet`, {
      hint: "name one with --session, or try it with --local",
    });
  }

  /** A source that cannot be had ends the reading, or is held back where somebody wants to know. */
  async #orHold(path: WorkspacePath, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const { holder } = this.#options;
      if (holder === undefined) throw error;
      if (error instanceof SourceChangedError) holder.onRead(error.localPath, undefined);
      else if (hasCode(error, "SOURCE_MISSING", "SOURCE_TOO_LARGE")) holder.onFault(error, path);
      else throw error;
      this.#held.add(path);
    }
  }

  async #readTree(spec: TreeSpec): Promise<void> {
    const walk = this.#walk(spec);
    if (walk === undefined) return;
    this.#unreadable.push(...walk.unreadable);
    this.#warnings.push(...walk.warnings);
    for (const path of walk.leftOut) this.#leftOut.add(path);
    for (const path of walk.held) this.#held.add(path);
    const isEmpty = walk.entries.every((entry) => entry.kind === "directory") && walk.held.length === 0;
    if (isEmpty && walk.unreadable.length === 0) this.#emptyTrees.push({ source: spec.source, path: spec.path });
    const policy: PathPolicy = { ...policyOf(false), ...(spec.onConflict ? { onConflict: spec.onConflict } : {}) };
    if (spec.path !== "") this.#putDirectory(spec.path, { policy, at: spec.at });
    for (const entry of walk.entries) {
      if (entry.kind === "directory") this.#putDirectory(entry.path, { policy, at: spec.at });
      else if (entry.kind === "link") {
        this.#put(entry.path, { kind: "link", target: entry.target }, { policy, at: spec.at });
        this.#treeOf.set(entry.path, spec);
      } else await this.#readListed(entry, { policy, at: spec.at });
    }
  }

  #checkLinks(): void {
    const { escaping, problems } = checkTreeLinks(this.#tree, this.#treeOf, this.#manifest);
    this.#problems.push(...problems);
    const { holder } = this.#options;
    for (const { path, error } of escaping) {
      if (holder === undefined) throw error;
      holder.onFault(error, path);
      this.#tree.delete(path);
      this.#held.add(path);
    }
  }

  #walk(spec: TreeSpec): SourceWalk | undefined {
    const { walk } = this.#options;
    try {
      const own = identitiesOf(this.#options.own ?? { sessions: [], caches: [] });
      return (
        walk?.(spec) ??
        walkSourceTree(spec, ignoreMatcher(this.#manifest.ignore), this.#manifest.file, {
          own,
          lockFile: lockFileOf(this.#manifest),
        })
      );
    } catch (error) {
      if (this.#options.toleratesMissingTrees !== true || !hasCode(error, "SOURCE_MISSING")) throw error;
      this.#emptyTrees.push({ source: spec.source, path: spec.path, missing: error });
      return undefined;
    }
  }

  /** A file of a tree that has gone since it was listed is not there. */
  async #readListed({ path, localPath, version }: ListedFile, declaration: Declaration): Promise<void> {
    this.#warnOfKey(localPath, version);
    try {
      await this.#readSource(path, { localPath, realPath: localPath, version, sensitive: false }, declaration);
    } catch (error) {
      const { holder } = this.#options;
      if (holder !== undefined && error instanceof SourceChangedError) {
        holder.onRead(localPath, undefined);
        this.#held.add(path);
        return;
      }
      if (error instanceof AgbSyncError) throw error;
      if (!isGone(error)) this.#leaveOut(localPath, messageOf(error));
    }
  }

  async #readFile(spec: FileSpec): Promise<void> {
    const { path, origin, mode, sensitive, seedOnly, at } = spec;
    const policy: PathPolicy = {
      declaredMode: mode !== undefined,
      seedOnly,
      sensitive,
      ...(spec.onConflict ? { onConflict: spec.onConflict } : {}),
    };
    const declaration: Declaration = { ...modeOf(mode), policy, at };
    if (origin.kind === "inline") {
      this.#putContent(path, memoryContent(Buffer.from(origin.text), sensitive), declaration, 0o644);
      return;
    }
    if (origin.kind === "url") throw new AgbSyncError("NOT_SUPPORTED_YET", `${path}: url is not supported yet`);
    const { localPath } = origin;
    const look = (this.#options.lookAt ?? lookAtSource)(localPath, "file");
    if (look.kind === "wrong") throw this.#missing(look.message, look.hint, at);
    if (look.kind === "unreadable") {
      this.#leaveOut(localPath, look.reason);
      return;
    }
    this.#warnOfKey(localPath, versionOf(look.stats));
    const source = { localPath, realPath: look.realPath, version: versionOf(look.stats), sensitive };
    try {
      if (origin.template) this.#readTemplate(path, source, declaration);
      else await this.#readSource(path, source, declaration);
    } catch (error) {
      if (error instanceof AgbSyncError) throw error;
      if (isGone(error)) throw this.#missing(`the source ${localPath} has gone`, "create it again", at);
      this.#leaveOut(localPath, messageOf(error));
    }
  }

  /** The key opens every session of its owner; a session is the last place for it. */
  #warnOfKey(localPath: string, { key }: FileVersion): void {
    if (!this.#keyVersions.has(key)) return;
    this.#warnings.push(
      `${localPath} ${HOLDS_KEY} and would be sent to the session; name it in ignore:, or keep the key elsewhere`,
    );
  }

  /** A template at fault leaves the others to be looked at as well. */
  #readTemplate(path: WorkspacePath, source: Source, declaration: Declaration): void {
    const { holder } = this.#options;
    try {
      const { text, variesBy } = readTemplate(source, this.#manifest.variables);
      const content = memoryContent(Buffer.from(text), source.sensitive);
      if (variesBy.length > 0) this.#varying.set(path, variesBy);
      this.#putContent(path, content, declaration, defaultMode(source.version));
    } catch (error) {
      if (hasCode(error, "SESSION_ID_NEEDED") && this.#options.toleratesWaiting === true) {
        this.#waiting.push(declaration.at);
        return;
      }
      if (!(error instanceof ManifestError)) throw error;
      if (holder === undefined) this.#problems.push(...error.problems);
      else {
        holder.onFault(error, path);
        this.#held.add(path);
      }
    }
  }

  async #readSource(path: WorkspacePath, source: Source, declaration: Declaration): Promise<void> {
    const { localPath, realPath, version, sensitive } = source;
    this.#filesRead += 1;
    if (this.#filesRead % FILES_A_TURN === 0) await nextTurn(this.#options.signal);
    const { holder } = this.#options;
    // What a digest can give away of a secret is kept nowhere.
    const cache = sensitive ? undefined : this.#options.cache;
    const known = cache?.find(localPath, version);
    if (known !== undefined) {
      const content = localContent(localPath, known, version.sizeBytes, sensitive, realPath);
      this.#putContent(path, content, declaration, defaultMode(version));
      return;
    }
    if (holder?.isUnsettled(path, localPath, version) === true) {
      this.#held.add(path);
      return;
    }
    const room = KEPT_BYTES_IN_ALL - this.#keptBytes;
    const keepBytes = Math.max(Math.min(KEPT_BYTES_A_FILE, room), holder?.keepBytes(localPath) ?? 0);
    const attempts = holder === undefined ? {} : { attempts: 1 };
    const reading = readLocalFile(localPath, keepBytes, { ...attempts, listed: version, realPath });
    this.#keptBytes += reading.bytes?.byteLength ?? 0;
    cache?.remember(localPath, reading.version, reading.digest);
    holder?.onRead(localPath, reading.version);
    const content =
      reading.bytes === undefined
        ? localContent(localPath, reading.digest, reading.version.sizeBytes, sensitive, realPath)
        : memoryContent(reading.bytes, sensitive, reading.digest);
    this.#putContent(path, content, declaration, defaultMode(reading.version));
  }

  /** What cannot be read is left out, and turns deletions off (S13). */
  #leaveOut(localPath: string, reason: string): void {
    this.#unreadable.push(localPath);
    this.#warnings.push(`${localPath} cannot be read: ${reason}`);
  }

  #missing(message: string, hint: string, at: Position): AgbSyncError {
    return new AgbSyncError("SOURCE_MISSING", `${message} (${this.#manifest.file}:${at.line})`, { hint });
  }

  #putContent(path: WorkspacePath, content: Content, declaration: Declaration, otherwise: Mode): void {
    const known = this.#contents.get(content.digest);
    // The same bytes may stand in a sensitive and an ordinary file: then they are sensitive.
    if (known === undefined || (content.sensitive && !known.sensitive)) this.#contents.set(content.digest, content);
    const { digest, sizeBytes } = content;
    this.#put(path, { kind: "file", mode: declaration.mode ?? otherwise, sizeBytes, digest }, declaration);
  }

  #putDirectory(path: WorkspacePath, declaration: Declaration): void {
    const known = this.#tree.get(path);
    const mode = declaration.mode ?? (known?.kind === "directory" ? known.mode : undefined) ?? 0o755;
    const declaredMode = declaration.policy.declaredMode || (this.#policies.get(path)?.declaredMode ?? false);
    this.#put(path, { kind: "directory", mode }, { ...declaration, policy: { ...declaration.policy, declaredMode } });
  }

  #put(path: WorkspacePath, entry: Entry, { policy, at }: Declaration): void {
    for (const ancestor of ancestorsOf(path)) {
      const above = this.#tree.get(ancestor);
      if (above !== undefined && above.kind !== "directory") throw this.#contradiction(path, ancestor, at);
      if (above !== undefined) continue;
      this.#tree.set(ancestor, { kind: "directory", mode: 0o755 });
      this.#policies.set(ancestor, policyOf(false));
      this.#positions.set(ancestor, at);
    }
    const there = this.#tree.get(path);
    if (there?.kind === "directory" && entry.kind !== "directory") throw this.#contradiction(path, path, at);
    this.#tree.set(path, entry);
    this.#policies.set(path, policy);
    this.#positions.set(path, at);
  }

  #contradiction(path: WorkspacePath, other: WorkspacePath, at: Position): AgbSyncError {
    const { file } = this.#manifest;
    const place = (position: Position | undefined) => (position === undefined ? "" : ` (${file}:${position.line})`);
    const [one, two] = [`${path}${place(at)}`, `${other}${place(this.#positions.get(other))}`];
    return new AgbSyncError(
      "MANIFEST_INVALID",
      `${one} needs a directory where another entry puts something else: ${two}`,
      {
        hint: "change one of the two, or exclude it from its tree",
      },
    );
  }

  #pruneScopes(): readonly PruneScope[] {
    return [...this.#manifest.directories, ...this.#manifest.trees].flatMap(({ path, prune }) =>
      prune === undefined ? [] : [{ path, rule: prune }],
    );
  }
}

function versionAt(file: string): string | undefined {
  const look = lookAtSource(file, "file");
  return look.kind === "there" ? versionOf(look.stats).key : undefined;
}

/** Undeclared modes: 0644, or 0755 when the local owner may execute the file. */
function defaultMode({ mode }: FileVersion): Mode {
  return (mode & 0o100) === 0 ? 0o644 : 0o755;
}

function policyOf(declaredMode: boolean): PathPolicy {
  return { declaredMode, seedOnly: false, sensitive: false };
}

function modeOf(mode: Mode | undefined): { readonly mode?: Mode } {
  return mode === undefined ? {} : { mode };
}

/** Lets timers and signals run; ends the work when it was called off. */
async function nextTurn(signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve));
  if (signal.aborted) throw new AgbSyncError("ABORTED", "stopped while local sources were read");
}
