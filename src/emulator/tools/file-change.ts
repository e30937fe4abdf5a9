import { textAt } from "../session/json-values.ts";
import { errnoOf, strerror } from "../session/session-files-error.ts";
import type { Snapshot } from "../session/sessions.ts";
import { walk } from "./file-tools.ts";
import { answer, failure, type ToolAnswer, type ToolCall } from "./tool-answer.ts";

type Event = { readonly eventType: "create" | "modify" | "delete"; readonly path: string; readonly pathType: string };

/** Directories of a session that are remembered, those asked about last. */
const watchedAtMost = 100;

/**
 * get_file_change (protocol §6.8): what happened below a directory since the last call for it; the first call gives
 * `[]`. A new file gives create and modify, as the kernel's events do. Several changes between two calls count once.
 */
export function getFileChange({ session, args }: ToolCall): ToolAnswer {
  const path = textAt(args, "path");
  if (path === undefined) return failure(-32602, "path is required");
  const directory = path.replace(/\/+$/, "");
  const now = new Map<string, { isDirectory: boolean; mark: string }>();
  try {
    walk(session, directory, (itemPath, _name, stats) => {
      const isDirectory = stats.isDirectory();
      now.set(itemPath, {
        isDirectory,
        mark: isDirectory ? "" : `${stats.ino} ${stats.size} ${stats.mtimeMs} ${stats.ctimeMs}`,
      });
      return true;
    });
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    return failure(-32602, `Failed to get file change: ${path}, error: ${strerror(errno)}`);
  }
  const before = session.snapshots.get(directory);
  session.snapshots.delete(directory);
  session.snapshots.set(directory, now);
  const [longestUnasked] = session.snapshots.keys();
  if (session.snapshots.size > watchedAtMost && longestUnasked !== undefined) session.snapshots.delete(longestUnasked);
  return answer(JSON.stringify(before === undefined ? [] : eventsBetween(before, now)));
}

function eventsBetween(before: Snapshot, now: Snapshot): readonly Event[] {
  const events: Event[] = [];
  for (const [path, { isDirectory }] of before) {
    if (!now.has(path)) events.push({ eventType: "delete", path, pathType: isDirectory ? "directory" : "file" });
  }
  for (const [path, { isDirectory, mark }] of now) {
    const old = before.get(path);
    const pathType = isDirectory ? "directory" : "file";
    if (old === undefined) events.push({ eventType: "create", path, pathType });
    if (!isDirectory && old?.mark !== mark) events.push({ eventType: "modify", path, pathType });
  }
  return events;
}
