import { createTwoFilesPatch } from "diff";
import type { Conflict } from "../plan/plan.ts";
import type { Planned } from "../reconcile/planned.ts";
import type { Entry } from "../tree/entry.ts";
import { printable } from "../tree/printable.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import type { Ink } from "./ink.ts";
import type { IsSensitive } from "./public-plan.ts";
import { formatBytes } from "./quantities.ts";

/** Larger texts are only said to differ. */
const MAX_DIFF_BYTES = 256 * 1024;

type Change = { readonly path: WorkspacePath; readonly before: Entry | undefined; readonly after: Entry | undefined };

/**
 * The text change of every write and every conflict, unified, from the session's version to the declared one; sensitive,
 * binary and large contents are only named. What is no longer declared may once have been sensitive: it is not shown.
 */
export async function* renderDiffs(planned: Planned, hides: IsSensitive, ink: Ink): AsyncGenerator<string> {
  const { plan, desired } = planned;
  const writes = plan.steps.flatMap(({ step }): readonly Change[] =>
    step.op === "write" ? [{ path: step.path, before: step.before, after: desired.tree.get(step.path) }] : [],
  );
  const conflicts = plan.conflicts.map(({ path, desired, actual }) => ({ path, before: actual, after: desired }));
  for (const change of [...writes, ...conflicts]) yield await renderChange(change, planned, hides, ink);
}

/** One conflict, in the same way. */
export async function renderConflict(
  conflict: Conflict,
  planned: Planned,
  hides: IsSensitive,
  ink: Ink,
): Promise<string> {
  const { path, actual: before, desired: after } = conflict;
  return await renderChange({ path, before, after }, planned, hides, ink);
}

async function renderChange({ path, before, after }: Change, planned: Planned, hides: IsSensitive, { foreign }: Ink) {
  const name = printable(path);
  const content = after?.kind === "file" && after.digest ? planned.desired.contents.get(after.digest) : undefined;
  if (hides(path) || content?.sensitive === true) return `${name}: sensitive, not shown`;
  if (content === undefined || (before !== undefined && before.kind !== "file"))
    return `${name}: ${describe(before)} in the session, ${describe(after)} declared`;
  const foundBytes = before?.sizeBytes ?? 0;
  if (content.sizeBytes > MAX_DIFF_BYTES || foundBytes > MAX_DIFF_BYTES) {
    return `${name}: too large to show (${formatBytes(foundBytes)} -> ${formatBytes(content.sizeBytes)})`;
  }
  const declaredText = await textOf(content.open());
  const foundText = before === undefined ? "" : await textOf(planned.readActual(path));
  if (declaredText === undefined || foundText === undefined)
    return `${name}: binary (${formatBytes(content.sizeBytes)})`;
  const patch = createTwoFilesPatch(`session/${name}`, `declared/${name}`, foundText, declaredText, "", "", {
    context: 3,
    timeout: 200,
  });
  return patch === undefined
    ? `${name}: too different to show`
    : patch.split("\n").slice(1).map(foreign).join("\n").trimEnd();
}

function describe(entry: Entry | undefined): string {
  switch (entry?.kind) {
    case undefined:
      return "nothing";
    case "file":
      return `a file (${formatBytes(entry.sizeBytes)})`;
    case "directory":
      return "a directory";
    case "link":
      return "a link";
    case "special":
      return "a socket, FIFO or device";
  }
}

/** Undefined for what is not UTF-8 text. */
async function textOf(chunks: AsyncIterable<Uint8Array>): Promise<string | undefined> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  const bytes = Buffer.concat(parts);
  if (bytes.includes(0)) return undefined;
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
