import type { Settings } from "../session/emulator-options.ts";
import { isRecord, type JsonRecord, parseRecord } from "../session/json-values.ts";
import type { Session, Sessions } from "../session/sessions.ts";
import type { Userland } from "../session/userland.ts";
import { getFileChange } from "./file-change.ts";
import {
  createDirectory,
  deleteFile,
  editFile,
  getFileInfo,
  listDirectory,
  moveFile,
  readFile,
  readMultipleFiles,
  searchFiles,
  writeFile,
} from "./file-tools.ts";
import { getMetrics } from "./metrics.ts";
import { runCode, runShell } from "./shell.ts";
import { answer, done, failure, type ToolAnswer, type ToolCall } from "./tool-answer.ts";

/** Those that need no process in the session. */
const ownTools: Readonly<Record<string, (call: ToolCall) => ToolAnswer>> = {
  read_file: readFile,
  write_file: writeFile,
  list_directory: listDirectory,
  get_file_info: getFileInfo,
  create_directory: createDirectory,
  delete_file: deleteFile,
  move_file: moveFile,
  edit_file: editFile,
  read_multiple_files: readMultipleFiles,
  search_files: searchFiles,
  get_file_change: getFileChange,
  get_metrics: getMetrics,
};

/** How much of a tool call is honest: all of it, half of the work, a lie, or half of the answer. */
export type Honesty = "honest" | "half" | "lie" | "cut";

export type ToolRunner = {
  has(tool: string): boolean;
  /** @param sizeBytes length of the serialised arguments, held against the message cap (protocol §6.2). */
  call(session: Session, tool: string, args: JsonRecord, sizeBytes: number, honesty: Honesty): Promise<ToolAnswer>;
};

/** Runs tools in sessions. Tools in `offered` only. */
export function makeToolRunner(
  settings: Settings,
  sessions: Sessions,
  userland: Userland,
  offered: ReadonlySet<string>,
): ToolRunner {
  const carryOut = async (call: ToolCall, tool: string): Promise<ToolAnswer> => {
    const ownTool = Object.hasOwn(ownTools, tool) ? ownTools[tool] : undefined;
    if (ownTool !== undefined) return ownTool(call);
    const namespace = await sessions.enter(call.session);
    return tool === "shell" ? runShell(call, namespace, userland.path) : runCode(call, namespace, userland.path);
  };
  return {
    has: (tool) => offered.has(tool),
    call: async (session, tool, args, sizeBytes, honesty) => {
      if (sizeBytes > settings.messageCapBytes) {
        return failure(-1, `message of ${sizeBytes} bytes exceeds the maximum of ${settings.messageCapBytes}`);
      }
      if (honesty === "lie") return pretend(tool) ?? carryOut({ session, settings, args, isHalf: false }, tool);
      const result = await carryOut({ session, settings, args, isHalf: honesty === "half" }, tool);
      sessions.touch(session);
      const limited = settings.maxResponseBytes === undefined ? result : limit(result, settings);
      return honesty === "cut" ? cut(limited, 0.5) : limited;
    },
  };
}

/** Success of a tool that did nothing; undefined for get_file_info, which has no such answer. */
function pretend(tool: string): ToolAnswer | undefined {
  switch (tool) {
    case "get_file_info":
      return undefined;
    case "shell":
      return answer(JSON.stringify({ stdout: "", stderr: "", exit_code: 0, traceId: "" }));
    case "run_code":
      return answer(JSON.stringify({ result: [], stdout: [], stderr: [], executionError: null }));
    case "write_file":
    case "create_directory":
    case "delete_file":
    case "move_file":
    case "edit_file":
      return done;
    default:
      return answer("");
  }
}

function limit(result: ToolAnswer, settings: Settings): ToolAnswer {
  const size = Buffer.byteLength(result.text);
  const most = settings.maxResponseBytes ?? size;
  if (size <= most) return result;
  if (settings.oversizedResponse === "fail") return failure(-1, `response of ${size} bytes exceeds ${most}`);
  return cut(result, most / size);
}

/** Leaves the first `share` of the text; of a command's result the first share of its output, in a sound result. */
function cut(result: ToolAnswer, share: number): ToolAnswer {
  const command = parseRecord(result.text);
  if (isRecord(command) && typeof command["stdout"] === "string" && "exit_code" in command) {
    const stdout = command["stdout"].slice(0, Math.floor(command["stdout"].length * share));
    return { ...result, text: JSON.stringify({ ...command, stdout }) };
  }
  return { ...result, text: result.text.slice(0, Math.floor(result.text.length * share)) };
}
