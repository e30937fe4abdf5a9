import type { Settings } from "../session/emulator-options.ts";
import type { JsonRecord } from "../session/json-values.ts";
import type { Session } from "../session/sessions.ts";

/** What a tool says; failures are text too (protocol §5.1, §5.4). */
export type ToolAnswer = { readonly text: string; readonly isError: boolean };

export type ToolCall = {
  readonly session: Session;
  readonly settings: Settings;
  readonly args: JsonRecord;
  /** Do half of the work only: the connection is about to break. */
  readonly isHalf: boolean;
};

export const done: ToolAnswer = { text: "True", isError: false };

export function answer(text: string): ToolAnswer {
  return { text, isError: false };
}

/** A failure in the wrapper that tools use; `-32602` for file tools, `-1` for a shell timeout (protocol §5.4). */
export function failure(code: number, text: string): ToolAnswer {
  return { text: `Execution failed. Error code:${code} Error message: ${text}`, isError: true };
}
