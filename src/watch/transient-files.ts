import { baseName, type WorkspacePath } from "../tree/workspace-path.ts";

/** Names that editors use for a moment while they save: vim, Emacs, JetBrains, GNOME, KDE. */
const patterns = [
  /^4913$/,
  /\.sw[a-z]$/,
  /~$/,
  /^\.#/,
  /^#.*#$/,
  /___jb_(?:tmp|old)___$/,
  /^\.goutputstream-/,
  /\.kate-swp$/,
];

/** How long such a file is waited for to go away; one that stays is a file like any other. */
export const TRANSIENT_MS = 2000;

/** True for a file that an editor has just made and will most likely remove at once (W9). */
export function isTransientFile(path: WorkspacePath, modifiedMs: number, nowMs: number): boolean {
  if (nowMs - modifiedMs > TRANSIENT_MS) return false;
  const name = baseName(path);
  return patterns.some((pattern) => pattern.test(name));
}
