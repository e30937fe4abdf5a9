import { UsageError } from "../errors.ts";
import { suggest } from "../manifest/suggest.ts";
import type { MissingTool } from "./session/emulator-options.ts";
import { toolCatalogue } from "./tool-catalogue.ts";

/** Every tool that sessions can lack; the last stands for the context behind file transfer (protocol §9). */
export const removableTools: readonly MissingTool[] = [...toolCatalogue.map(({ name }) => name), "file_transfer"];

/** Reads the names of `--without`, separated by commas. @throws {UsageError} for one that no session has. */
export function parseMissingTools(text: string): readonly MissingTool[] {
  const names = text
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
  for (const name of names) {
    if (removableTools.includes(name)) continue;
    const close = suggest(name, removableTools);
    throw new UsageError(`--without: there is no tool ${JSON.stringify(name)}`, {
      hint: `${close === undefined ? "" : `did you mean ${close}? `}the tools are ${removableTools.join(", ")}`,
    });
  }
  return names;
}
