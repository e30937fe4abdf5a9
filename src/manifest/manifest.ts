import type { Digest } from "../tree/digest.ts";
import type { Mode } from "../tree/entry.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";

/** One-based place in a manifest file. */
export type Position = { readonly line: number; readonly column: number };

export type PruneRule = "managed" | "all" | "none";
export type ConflictRule = "skip" | "overwrite" | "keep";

/** What a session is created with or found by. */
export type SessionSpec = {
  readonly image: string;
  readonly name?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly idleTimeoutMs?: number;
  readonly count?: number;
};

export type DirectorySpec = {
  readonly path: WorkspacePath;
  readonly mode?: Mode;
  readonly prune?: PruneRule;
  readonly at: Position;
};

/** Where the bytes of a declared file come from. Local paths are absolute. */
export type FileOrigin =
  | { readonly kind: "inline"; readonly text: string }
  | { readonly kind: "source"; readonly localPath: string; readonly template: boolean }
  | { readonly kind: "url"; readonly url: string; readonly digest: Digest };

export type FileSpec = {
  readonly path: WorkspacePath;
  readonly origin: FileOrigin;
  readonly mode?: Mode;
  readonly sensitive: boolean;
  /** Written once when missing, then never compared. */
  readonly seedOnly: boolean;
  readonly onConflict?: ConflictRule;
  readonly at: Position;
};

export type TreeSpec = {
  /** Absolute local directory. */
  readonly source: string;
  /** `""` mirrors into the root itself (written `.` in the manifest). */
  readonly path: WorkspacePath;
  /** gitignore patterns, relative to the tree. */
  readonly exclude: readonly string[];
  /** Whether `.gitignore` files inside the tree count. */
  readonly gitignore: boolean;
  readonly prune?: PruneRule;
  readonly onConflict?: ConflictRule;
  readonly at: Position;
};

export type LinkSpec = {
  readonly path: WorkspacePath;
  readonly target: string;
  readonly at: Position;
  readonly targetAt: Position;
};
export type MoveSpec = { readonly from: WorkspacePath; readonly to: WorkspacePath; readonly at: Position };
export type AbsentSpec = { readonly path: WorkspacePath; readonly at: Position };

export type RunSpec = {
  /** By which it is run again, and known when its text is edited. */
  readonly name?: string;
  readonly command: string;
  readonly cwd: WorkspacePath;
  /** gitignore patterns over workspace paths; empty: always. */
  readonly onChange: readonly string[];
  readonly timeoutMs: number;
  readonly at: Position;
};

export type PullSpec = {
  /** `""` is everything. */
  readonly path: WorkspacePath;
  /** Absolute local place: of what is in a directory, or of the file itself. */
  readonly to: string;
  /** Written with a slash at its end: a directory, also for a single file. */
  readonly isInto: boolean;
  /** gitignore patterns, relative to `path`. */
  readonly exclude: readonly string[];
  readonly prune: boolean;
  readonly at: Position;
};

/** A text of the manifest that differs by machine or session. */
export type Varying = {
  /** Such as `files`, or `root`. */
  readonly section: string;
  /** Where the entry stands that it belongs to; the text itself where it belongs to none. */
  readonly at: Position;
  /** The key in that entry, such as `content`; what is in a list or a mapping has the key of that. */
  readonly key: string;
  readonly names: readonly string[];
  /** The text before anything was put into it. */
  readonly written: string;
};

/** A manifest after interpolation and every check that needs no session: what the rest of agb-sync works from. */
export type Manifest = {
  /** As shown in messages: the path as given, or `<stdin>`. */
  readonly file: string;
  /** Absolute local directory that sources are relative to. */
  readonly directory: string;
  readonly session: SessionSpec;
  /** Absolute, normal path in the session. */
  readonly root: string;
  readonly prune: PruneRule;
  readonly onConflict: ConflictRule;
  /** gitignore patterns over workspace paths: never listed, written, moved, pruned. */
  readonly ignore: readonly string[];
  readonly directories: readonly DirectorySpec[];
  readonly files: readonly FileSpec[];
  readonly trees: readonly TreeSpec[];
  readonly links: readonly LinkSpec[];
  readonly moves: readonly MoveSpec[];
  readonly absent: readonly AbsentSpec[];
  readonly run: readonly RunSpec[];
  readonly pull: readonly PullSpec[];
  /** What `${vars.…}` means; templates use it too. */
  readonly variables: Variables;
  /** Texts whose values another machine or session may have otherwise; templates apart. */
  readonly varying: readonly Varying[];
  /** `${session.id}` occurs somewhere in the manifest itself; templates apart. */
  readonly usesSessionId: boolean;
  /** The same manifest with the id of a session in it, there when it uses one; to be used by way of `forSession` only. */
  readonly resolve?: (sessionId: string) => Manifest;
  /** Entries that are left out because they hold the session's id, while that is not known. */
  readonly waiting: readonly Position[];
  /** Local files that AGB_API_KEY is read from: whoever sends one is warned. */
  readonly keyFiles?: readonly string[];
  /** Values that were interpolated into sensitive files, to be redacted wherever text leaves the program. */
  readonly secrets: readonly string[];
};

/** What files assign, such as the nearest `.env`, and in one clause each what kept one from being read. */
export type EnvFiles = {
  readonly values: Readonly<Record<string, string | undefined>>;
  readonly faults: readonly string[];
};

/** The names that `${…}` may use, beside defaults. */
export type Variables = {
  readonly vars: Readonly<Record<string, string>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What `${env.…}` may name beside `env`; asked only for what that lacks. */
  readonly envFiles?: () => EnvFiles;
  /** Undefined while no session is known. */
  readonly sessionId?: string;
  /** What the values in `vars` are made from that differs by machine or session, such as `env.X`. */
  readonly varsVaryBy?: ReadonlyMap<string, readonly string[]>;
  /** The names in `vars` whose values hold the session's id; while it is not known they have none. */
  readonly ofSession?: ReadonlySet<string>;
};
