import type { JsonRecord } from "./session/json-values.ts";

export type ToolDescription = {
  readonly name: string;
  readonly server: string;
  readonly description: string;
  readonly inputSchema: JsonRecord;
};

const text = { type: "string" };
const integer = { type: "integer" };
const flag = { type: "boolean" };
const texts = { type: "array", items: text };

function tool(
  server: string,
  name: string,
  description: string,
  properties: JsonRecord,
  required: readonly string[],
): ToolDescription {
  return { name, server, description, inputSchema: { type: "object", properties, required } };
}

const files = "wuying_filesystem";

/** Every tool the emulator knows, with the server names of protocol §5.3. */
export const toolCatalogue: readonly ToolDescription[] = [
  tool(
    files,
    "read_file",
    "Reads a byte range of a file",
    { path: text, offset: integer, length: integer, format: text },
    ["path"],
  ),
  tool(
    files,
    "write_file",
    "Writes text to a file",
    { path: text, content: text, mode: text, create_parent_dir: flag },
    ["path", "content"],
  ),
  tool(files, "list_directory", "Lists the direct children of a directory", { path: text }, ["path"]),
  tool(files, "get_file_info", "Describes a file or directory", { path: text }, ["path"]),
  tool(files, "create_directory", "Makes a directory and its parents", { path: text }, ["path"]),
  tool(files, "delete_file", "Removes a file", { path: text }, ["path"]),
  tool(files, "move_file", "Renames a file or directory", { source: text, destination: text }, [
    "source",
    "destination",
  ]),
  tool(
    files,
    "edit_file",
    "Replaces texts in a file",
    { path: text, edits: { type: "array", items: { type: "object" } }, dryRun: flag },
    ["path", "edits"],
  ),
  tool(files, "read_multiple_files", "Reads several files", { paths: texts }, ["paths"]),
  tool(files, "search_files", "Finds files by name", { path: text, pattern: text, excludePatterns: texts }, [
    "path",
    "pattern",
  ]),
  tool(files, "get_file_change", "Tells what changed in a directory since the last call", { path: text }, ["path"]),
  // Its server is not on record.
  tool("wuying_system", "get_metrics", "Tells the load of the session", {}, []),
  tool(
    "wuying_shell",
    "shell",
    "Runs a command",
    { command: text, timeout_ms: { ...integer, default: 1000 }, cwd: text, envs: { type: "object" } },
    ["command"],
  ),
  tool(
    "wuying_codespace",
    "run_code",
    "Runs Python or JavaScript",
    { code: text, language: text, timeout_s: { ...integer, default: 60 } },
    ["code", "language"],
  ),
];
