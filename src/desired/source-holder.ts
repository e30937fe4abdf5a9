import type { WorkspacePath } from "../tree/workspace-path.ts";
import type { FileVersion } from "./file-version.ts";

/**
 * What a caller that reads the same sources again and again says about single ones. A path that is held back is neither
 * desired nor deleted: what the session has there stays as it is.
 */
export type SourceHolder = {
  /** Whether this file or link of a tree, not followed, is held back because it will most likely be gone in a moment. */
  isTemporary(path: WorkspacePath, localPath: string, version: FileVersion): boolean;
  /** Whether a file whose bytes are not known yet is held back because it is being written. */
  isUnsettled(path: WorkspacePath, localPath: string, version: FileVersion): boolean;
  /** Told what came of reading a file: its version, or undefined when it changed meanwhile and is held back. */
  onRead(localPath: string, version: FileVersion | undefined): void;
  /** Files up to this many bytes are kept in memory, so that the version that was read is the one that is sent. */
  keepBytes(localPath: string): number;
  /** Told that the source of `path` cannot be had, which would otherwise end the reading. */
  onFault(error: Error, path: WorkspacePath): void;
};
