import type { BigIntStats } from "node:fs";
import { readFileSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { AgbSyncError, messageOf } from "../errors.ts";
import { decodeText } from "../manifest/decode-text.ts";
import { interpolateTemplate } from "../manifest/interpolate.ts";
import type { FileSpec, Manifest, Position, TreeSpec } from "../manifest/manifest.ts";
import type { PathPolicy, PruneScope } from "../plan/policy.ts";
import type { Content } from "../tree/content.ts";
import type { Digest } from "../tree/digest.ts";
import type { Entry, Mode } from "../tree/entry.ts";
import { treeDigest } from "../tree/entry.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { ancestorsOf } from "../tree/workspace-path.ts";
import type { Desired } from "./desired.ts";
import { ignoreMatcher } from "./ignore-matcher.ts";
import { localContent, memoryContent, readLocalFile } from "./local-file.ts";
import type { SourceCache } from "./source-cache.ts";
import { walkSourceTree } from "./walk-source-tree.ts";

export type ReadOptions = {
  readonly signal: AbortSignal;
  readonly cache?: SourceCache;
  /** Files of trees that this answers true for are left out. */
  readonly isTransient?: (path: WorkspacePath, modifiedMs: number) => boolean;
};

/** Bytes of small files that are kept so that they need not be read twice: this much in all, and this much a file. */
const KEPT_BYTES_IN_ALL = 16 * 1024 * 1024;
const KEPT_BYTES_A_FILE = 64 * 1024;
/** Longest template, in bytes. */
const MAX_TEMPLATE_BYTES = 8 * 1024 * 1024;
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

type Declaration = { readonly mode?: Mode; readonly policy: PathPolicy; readonly at: Position };

class SourceReader {
  readonly #manifest: Manifest;
  readonly #options: ReadOptions;
  readonly #tree = new Map<WorkspacePath, Entry>();
  readonly #contents = new Map<Digest, Content>();
  readonly #policies = new Map<WorkspacePath, PathPolicy>();
  readonly #positions = new Map<WorkspacePath, Position>();
  readonly #emptyTrees: { source: string; path: WorkspacePath; at: Position }[] = [];
  readonly #unreadable: string[] = [];
  readonly #warnings: string[] = [];
  readonly #sourceDirectories = new Set<string>();
  #keptBytes = 0;
  #filesRead = 0;

  constructor(manifest: Manifest, options: ReadOptions) {
    this.#manifest = manifest;
    this.#options = options;
  }

  async read(): Promise<Desired> {
    const { directories, files, trees, links } = this.#manifest;
    for (const tree of trees) await this.#readTree(tree);
    for (const { path, mode, at } of directories)
      this.#putDirectory(path, { ...modeOf(mode), policy: policyOf(mode !== undefined), at });
    for (const file of files) await this.#readFile(file);
    for (const { path, target, at } of links)
      this.#put(path, { kind: "link", target }, { policy: policyOf(false), at });
    return {
      tree: this.#tree,
      contents: this.#contents,
      digest: treeDigest(this.#tree),
      policies: this.#policies,
      positions: this.#positions,
      pruneScopes: this.#pruneScopes(),
      emptyTrees: this.#emptyTrees,
      unreadable: this.#unreadable,
      warnings: this.#warnings,
      sourceDirectories: this.#sourceDirectories,
    };
  }

  async #readTree(spec: TreeSpec): Promise<void> {
    const walk = walkSourceTree(spec, ignoreMatcher(this.#manifest.ignore));
    this.#unreadable.push(...walk.unreadable);
    this.#warnings.push(...walk.warnings);
    for (const directory of walk.directories) this.#sourceDirectories.add(directory);
    if (walk.entries.length === 0) this.#emptyTrees.push({ source: spec.source, path: spec.path, at: spec.at });
    const policy: PathPolicy = { ...policyOf(false), ...(spec.onConflict ? { onConflict: spec.onConflict } : {}) };
    if (spec.path !== "") this.#putDirectory(spec.path, { policy, at: spec.at });
    for (const entry of walk.entries) {
      if (entry.kind === "directory") this.#putDirectory(entry.path, { policy, at: spec.at });
      else if (entry.kind === "link")
        this.#put(entry.path, { kind: "link", target: entry.target }, { policy, at: spec.at });
      else if (this.#options.isTransient?.(entry.path, Number(entry.stats.mtimeNs / 1_000_000n)) !== true)
        await this.#readSource(entry.path, entry.localPath, entry.stats, false, { policy, at: spec.at });
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
    const stats = statSource(origin.localPath, at);
    if (!origin.template) {
      await this.#readSource(path, origin.localPath, stats, sensitive, declaration);
      return;
    }
    if (stats.size > MAX_TEMPLATE_BYTES) {
      throw new AgbSyncError(
        "SOURCE_TOO_LARGE",
        `the template ${origin.localPath} is larger than ${MAX_TEMPLATE_BYTES} bytes`,
        {
          hint: "send large content as it is, without template: true",
        },
      );
    }
    this.#sourceDirectories.add(dirname(origin.localPath));
    const bytes = readFileSync(origin.localPath);
    const hint = "save it as UTF-8, or send it as it is, without `template: true`";
    const template = { file: origin.localPath, text: decodeText(bytes, origin.localPath, hint), sensitive };
    const { text } = interpolateTemplate(template, this.#manifest.variables);
    this.#putContent(path, memoryContent(Buffer.from(text), sensitive), declaration, defaultMode(stats));
  }

  async #readSource(
    path: WorkspacePath,
    localPath: string,
    stats: BigIntStats,
    sensitive: boolean,
    declaration: Declaration,
  ): Promise<void> {
    this.#filesRead += 1;
    if (this.#filesRead % FILES_A_TURN === 0) await nextTurn(this.#options.signal);
    this.#sourceDirectories.add(dirname(localPath));
    const { cache } = this.#options;
    const known = cache?.find(localPath, stats);
    if (known !== undefined) {
      this.#putContent(
        path,
        localContent(localPath, known, Number(stats.size), sensitive),
        declaration,
        defaultMode(stats),
      );
      return;
    }
    try {
      const room = KEPT_BYTES_IN_ALL - this.#keptBytes;
      const reading = readLocalFile(localPath, Math.min(KEPT_BYTES_A_FILE, room));
      this.#keptBytes += reading.bytes?.byteLength ?? 0;
      cache?.remember(localPath, reading.stats, reading.digest);
      const content =
        reading.bytes === undefined
          ? localContent(localPath, reading.digest, Number(reading.stats.size), sensitive)
          : memoryContent(reading.bytes, sensitive, reading.digest);
      this.#putContent(path, content, declaration, defaultMode(reading.stats));
    } catch (error) {
      if (error instanceof AgbSyncError) throw error;
      // Gone since it was listed: not there. Anything else: unreadable, which turns deletions off (S13).
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return;
      this.#unreadable.push(localPath);
      this.#warnings.push(`${localPath} cannot be read: ${messageOf(error)}`);
    }
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
      if (above !== undefined && above.kind !== "directory") throw contradiction(path, ancestor, at);
      if (above !== undefined) continue;
      this.#tree.set(ancestor, { kind: "directory", mode: 0o755 });
      this.#policies.set(ancestor, policyOf(false));
      this.#positions.set(ancestor, at);
    }
    const there = this.#tree.get(path);
    if (there?.kind === "directory" && entry.kind !== "directory") throw contradiction(path, path, at);
    this.#tree.set(path, entry);
    this.#policies.set(path, policy);
    this.#positions.set(path, at);
  }

  #pruneScopes(): readonly PruneScope[] {
    return [...this.#manifest.directories, ...this.#manifest.trees].flatMap(({ path, prune }) =>
      prune === undefined ? [] : [{ path, rule: prune }],
    );
  }
}

function statSource(localPath: string, at: Position): BigIntStats {
  let stats: BigIntStats;
  try {
    stats = statSync(localPath, { bigint: true });
  } catch (cause) {
    throw new AgbSyncError("SOURCE_MISSING", `the source ${localPath} is not there (line ${at.line})`, {
      hint: "create it, or correct `source`",
      cause,
    });
  }
  if (stats.isFile()) return stats;
  const what = stats.isDirectory() ? "a directory" : "not a regular file";
  throw new AgbSyncError("SOURCE_MISSING", `the source ${localPath} is ${what} (line ${at.line})`, {
    hint: "declare directories under `trees`",
  });
}

function contradiction(path: WorkspacePath, other: WorkspacePath, at: Position): AgbSyncError {
  return new AgbSyncError(
    "MANIFEST_INVALID",
    `${path} (line ${at.line}) needs a directory where another entry puts something else: ${other}`,
    {
      hint: "change one of the two, or exclude it from its tree",
    },
  );
}

/** Undeclared modes: 0644, or 0755 when the local owner may execute the file. */
function defaultMode(stats: BigIntStats): Mode {
  return (Number(stats.mode) & 0o100) === 0 ? 0o644 : 0o755;
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
