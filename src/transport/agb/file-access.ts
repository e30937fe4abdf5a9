import type { Content } from "../../tree/content.ts";
import type { Digest } from "../../tree/digest.ts";
import type { Entry, Mode } from "../../tree/entry.ts";
import type { WorkspacePath } from "../../tree/workspace-path.ts";
import type { Child, Features, MoveOptions } from "../transport.ts";

/** The files below one root of a session, by one of the ways to them; chosen once, after the probe. See `Transport`. */
export interface FileAccess {
  /** What can be done on this way. */
  readonly abilities: Pick<Features, "modes" | "links" | "binary" | "removeDirectory" | "anyName">;
  list(path: WorkspacePath, signal: AbortSignal): Promise<readonly Child[]>;
  stat(path: WorkspacePath, signal: AbortSignal): Promise<Entry | undefined>;
  digests(paths: readonly WorkspacePath[], signal: AbortSignal): Promise<ReadonlyMap<WorkspacePath, Digest>>;
  write(path: WorkspacePath, content: Content, mode: Mode, signal: AbortSignal): Promise<void>;
  createDirectory(path: WorkspacePath, mode: Mode | undefined, signal: AbortSignal): Promise<void>;
  move(from: WorkspacePath, to: WorkspacePath, options: MoveOptions, signal: AbortSignal): Promise<void>;
  deleteFile(path: WorkspacePath, signal: AbortSignal): Promise<void>;
  removeDirectory(path: WorkspacePath, signal: AbortSignal): Promise<void>;
  setMode(path: WorkspacePath, mode: Mode, signal: AbortSignal): Promise<void>;
  createLink(path: WorkspacePath, target: string, signal: AbortSignal): Promise<void>;
}

/** The content as text, or undefined when it is none. */
export async function textOfContent(content: Content): Promise<string | undefined> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let text = "";
  try {
    for await (const chunk of content.open()) {
      if (chunk.includes(0)) return undefined;
      text += decoder.decode(chunk, { stream: true });
    }
    return text + decoder.decode();
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

/** Absolute path in the session of what is below `root`. */
export function absoluteIn(root: string, path: WorkspacePath): string {
  if (path === "") return root;
  return root === "/" ? `/${path}` : `${root}/${path}`;
}
