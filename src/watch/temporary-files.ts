import type { FileVersion } from "../desired/file-version.ts";
import { baseName, parentPath, type WorkspacePath, workspacePath } from "../tree/workspace-path.ts";

/** Names that live as long as an editor has the file beside them open: swap files, locks, automatic saves. */
const whileOpen = [
  /^\..+\.sw[a-p]$/, // vim
  /^\.#/, // Emacs: a link that leads nowhere
  /^#.*#$/, // Emacs
  /^\..+\.kate-swp$/,
  /___jb_(?:tmp|old)___$/, // JetBrains
];

/** Names that an editor uses for a moment while it saves; one that stays is a file like any other. */
const whileSaving = [/~$/, /^\.goutputstream-/, /\.sw[a-z]$/];
/** Vim tries whether it may create files with an empty one of this name. */
const VIM_TRIAL = "4913";

/** How long after its last change such a file is waited for to go away. */
export const TRANSIENT_MS = 2000;

/** What is known of a file by its name and age: `open` and `saving` are not to be sent (W9). */
export function editorUse(name: string, version: FileVersion, nowMs: number): "open" | "saving" | undefined {
  if (whileOpen.some((pattern) => pattern.test(name))) return "open";
  if (name === VIM_TRIAL) return version.sizeBytes === 0 ? "open" : undefined;
  if (!whileSaving.some((pattern) => pattern.test(name))) return undefined;
  // The change time: renaming a file to a backup's name changes no other.
  return Math.abs(nowMs - version.changedMs) <= TRANSIENT_MS ? "saving" : undefined;
}

/** The file that an editor is saving while it keeps the old version at `path`. */
export function savedThrough(path: WorkspacePath): WorkspacePath | undefined {
  const name = baseName(path);
  const original = name.replace(/(?:~|___jb_old___)$/, "");
  if (original === name || original === "") return undefined;
  const parent = parentPath(path);
  return workspacePath(parent === "" ? original : `${parent}/${original}`);
}
