import type { Digest } from "./digest.ts";
import type { WorkspacePath } from "./workspace-path.ts";

/** Permission bits, 0 to 0o7777. Undefined in an actual tree when the session cannot tell. */
export type Mode = number;

/** The bits without which its owner cannot list, enter and change a directory: set while there is work in it. */
export const OWNER_ALL = 0o700;

/** Whether a directory of this mode has to be opened before its owner can work in it. */
export function isClosed(mode: Mode): boolean {
  return (mode & OWNER_ALL) !== OWNER_ALL;
}

export type DirectoryEntry = { readonly kind: "directory"; readonly mode?: Mode };

/** A file without `digest` was seen by a scan but not hashed: unknown, and equal to nothing. */
export type FileEntry = {
  readonly kind: "file";
  readonly mode?: Mode;
  readonly sizeBytes: number;
  readonly digest?: Digest;
};

/** A symbolic link; `target` is the text it holds, undefined when the session cannot read it. */
export type LinkEntry = { readonly kind: "link"; readonly target?: string };

/** A socket, FIFO or device: never opened, never replaced unasked. */
export type SpecialEntry = { readonly kind: "special" };

/** What one path holds. */
export type Entry = DirectoryEntry | FileEntry | LinkEntry | SpecialEntry;

/** Entries by path, without the root itself and without agb-sync's own state. */
export type Tree = ReadonlyMap<WorkspacePath, Entry>;

/**
 * True when both hold the same thing: kind, bytes or target. Modes do not count; an unhashed file equals nothing, and one
 * special file every other, as nothing more is known of them.
 */
export function sameContent(one: Entry | undefined, other: Entry | undefined): boolean {
  if (one === undefined || other === undefined) return one === other;
  if (one.kind === "file" && other.kind === "file") return one.digest !== undefined && one.digest === other.digest;
  if (one.kind === "link" && other.kind === "link") return one.target !== undefined && one.target === other.target;
  return one.kind === other.kind && (one.kind === "directory" || one.kind === "special");
}

/**
 * True when `found` is still what a plan saw. A scan that looks at no more than it must knows of some entries their kind
 * alone: then the kind is all that can have changed.
 */
export function isAsSeen(found: Entry | undefined, seen: Entry): boolean {
  if (found === undefined || found.kind !== seen.kind) return false;
  if (seen.kind === "file" && seen.digest === undefined) return true;
  if (seen.kind === "link" && seen.target === undefined) return true;
  return sameContent(found, seen);
}

/** True when modes agree or one of them is not known. Links and special files have none. */
export function sameMode(one: Entry, other: Entry): boolean {
  if (!("mode" in one) || !("mode" in other)) return true;
  return one.mode === undefined || other.mode === undefined || one.mode === other.mode;
}
