// Made from schemas/manifest.schema.json by `npm run generate:types`.

/**
 * The declared state of a workspace in an AGB cloud session.
 */
export interface ManifestFile {
  /**
   * Version of the manifest format.
   */
  version: 1;
  session?: Session;
  /**
   * Absolute directory in the session; every path below is relative to it.
   */
  root: string;
  /**
   * Values for ${vars.NAME}; --var NAME=VALUE on the command line wins. ${env.NAME} names the environment, the files given with --env-file, and the nearest .env. ${vars.NAME:-default} stands in for what is unset or empty, ${vars.NAME-default} only for what is unset.
   */
  vars?: {
    /**
     * Value of the variable.
     */
    [k: string]: string | number | boolean;
  };
  /**
   * What happens to entries that are not declared: managed deletes what agb-sync wrote itself, all deletes everything, none deletes nothing.
   */
  prune?: "managed" | "all" | "none";
  /**
   * What happens to bytes that agb-sync did not write: skip leaves them and reports, overwrite replaces them after a backup, keep accepts them.
   */
  onConflict?: "skip" | "overwrite" | "keep";
  /**
   * What agb-sync leaves alone: never sent, listed, written, moved or deleted. Patterns as in a .gitignore file: "*.log" every file of that name, at any depth; "build/" a directory and all below it; "/notes.md" only at the top; "docs/** /*.pdf" at any depth below docs; "!keep.log" takes one back out. Paths are relative to root.
   *
   * Items: One pattern.
   */
  ignore?: string[];
  /**
   * Directories that must exist.
   */
  directories?: Directory[];
  /**
   * Files that must hold given bytes.
   */
  files?: File[];
  /**
   * Local directories that are mirrored.
   */
  trees?: Tree[];
  /**
   * Symbolic links.
   */
  links?: Link[];
  /**
   * Renames that are done once and are no-ops after that.
   */
  moves?: Move[];
  /**
   * Paths that must not exist.
   *
   * Items: A path, relative to root.
   */
  absent?: string[];
  /**
   * Commands run in the session, in order, after a successful apply.
   */
  run?: Run[];
  /**
   * What agb-sync pull brings back from the session. What changed on this machine since the last pull is left alone.
   */
  pull?: Pull[];
}
/**
 * The session that the workspace lives in.
 */
export interface Session {
  /**
   * Image of a session that has to be created.
   */
  image?: string;
  /**
   * Name by which a live session is found again and used; kept in the label agb-sync/name.
   */
  name?: string;
  /**
   * Labels given to a session that is created.
   */
  labels?: {
    /**
     * Value of the label.
     */
    [k: string]: string;
  };
  /**
   * How long a session may be idle before it is released, such as 10m.
   */
  idleTimeout?: string;
  /**
   * How many sessions to keep in this state.
   */
  count?: number;
}
/**
 * A directory.
 */
export interface Directory {
  /**
   * Where it is, relative to root.
   */
  path: string;
  /**
   * Permission bits in octal, such as "0755". Quote it: an unquoted number is read as it is written. The owner keeps r and x.
   */
  mode?: string | number;
  /**
   * Prune rule for everything below this directory.
   */
  prune?: "managed" | "all" | "none";
}
/**
 * A file; either content or source says what it holds.
 */
export interface File {
  /**
   * Where it is, relative to root.
   */
  path: string;
  /**
   * The text it holds; ${...} is interpolated.
   */
  content?: string;
  /**
   * Local file, relative to the manifest, whose bytes it holds.
   */
  source?: string;
  /**
   * Interpolate ${...} inside the source file.
   */
  template?: boolean;
  /**
   * Where the bytes are fetched from; needs sha256.
   */
  url?: string;
  /**
   * SHA-256 of the bytes behind url, 64 hex digits.
   */
  sha256?: string;
  /**
   * Permission bits in octal, such as "0755". Quote it: an unquoted number is read as it is written. The owner keeps r.
   */
  mode?: string | number;
  /**
   * Never show the content in a plan, diff, log, report or error.
   */
  sensitive?: boolean;
  /**
   * keep: written once when missing, then it belongs to the session.
   */
  ifPresent?: "keep" | "update";
  /**
   * Conflict rule for this file.
   */
  onConflict?: "skip" | "overwrite" | "keep";
}
/**
 * A mirrored local directory.
 */
export interface Tree {
  /**
   * Local directory, relative to the manifest.
   */
  source: string;
  /**
   * Where it is, relative to root; . is the root itself.
   */
  path: string;
  /**
   * What of the local directory is left out. Patterns as in a .gitignore file: "*.log" every file of that name, at any depth; "build/" a directory and all below it; "/notes.md" only at the top; "docs/** /*.pdf" at any depth below docs; "!keep.log" takes one back out. Paths are relative to the tree.
   *
   * Items: One pattern.
   */
  exclude?: string[];
  /**
   * Leave out what .gitignore files inside the tree leave out, and .git itself.
   */
  gitignore?: boolean;
  /**
   * Prune rule for everything below this tree.
   */
  prune?: "managed" | "all" | "none";
  /**
   * Conflict rule for this tree.
   */
  onConflict?: "skip" | "overwrite" | "keep";
}
/**
 * A symbolic link.
 */
export interface Link {
  /**
   * Where it is, relative to root.
   */
  path: string;
  /**
   * What it points to: relative, and inside root.
   */
  target: string;
}
/**
 * One rename.
 */
export interface Move {
  /**
   * Where it was, relative to root.
   */
  from: string;
  /**
   * Where it belongs, relative to root.
   */
  to: string;
}
/**
 * A command.
 */
export interface Run {
  /**
   * Name, to run it again: agb-sync apply --run NAME. It also stays known by it when the command is edited.
   */
  name?: string;
  /**
   * Command line for sh.
   */
  command: string;
  /**
   * Directory, relative to root; root itself if left out.
   */
  cwd?: string;
  /**
   * Run the command only when something that these patterns match changed in this apply; without them, always. Patterns as in a .gitignore file: "*.log" every file of that name, at any depth; "build/" a directory and all below it; "/notes.md" only at the top; "docs/** /*.pdf" at any depth below docs; "!keep.log" takes one back out. Paths are relative to root.
   *
   * Items: One pattern.
   */
  onChange?: string[];
  /**
   * How long it may take, such as 5m.
   */
  timeout?: string;
}
/**
 * One file or directory to bring back.
 */
export interface Pull {
  /**
   * What to bring back, relative to root; "." for all of it.
   */
  path: string;
  /**
   * Local place, relative to the manifest: what a directory holds goes into it, a file becomes it, or goes into it where it is a directory or ends with a slash.
   */
  to: string;
  /**
   * What stays in the session: patterns as in a .gitignore file, relative to path. "*.log" every file of that name, at any depth; "build/" a directory and all below it; "/notes.md" only at the top.
   *
   * Items: One pattern.
   */
  exclude?: string[];
  /**
   * Whether what was pulled before and is gone in the session is deleted here too, unless it changed here.
   */
  prune?: boolean;
}
