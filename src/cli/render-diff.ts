import { createTwoFilesPatch } from "diff";
import type { Step } from "../plan/plan.ts";
import type { Planned } from "../reconcile.ts";
import { printable } from "../tree/printable.ts";
import type { Ink } from "./ink.ts";
import { formatBytes } from "./render-plan.ts";

/** Larger texts are only said to differ. */
const MAX_DIFF_BYTES = 256 * 1024;

/** The text change of one write, unified; sensitive and binary contents are only named. */
export async function renderDiff(step: Step, planned: Planned, { foreign }: Ink): Promise<string | undefined> {
  if (step.op !== "write") return undefined;
  const name = printable(step.path);
  if (step.sensitive) return `${name}: sensitive, not shown`;
  const before = step.before?.kind === "file" ? step.before : undefined;
  if (step.sizeBytes > MAX_DIFF_BYTES || (before?.sizeBytes ?? 0) > MAX_DIFF_BYTES) {
    return `${name}: too large to show (${formatBytes(before?.sizeBytes ?? 0)} -> ${formatBytes(step.sizeBytes)})`;
  }
  const content = planned.desired.contents.get(step.digest);
  const after = content === undefined ? undefined : await textOf(content.open());
  const found = before === undefined ? "" : await textOf(planned.readActual(step.path));
  if (after === undefined || found === undefined) return `${name}: binary (${formatBytes(step.sizeBytes)})`;
  const patch = createTwoFilesPatch(`session/${name}`, `declared/${name}`, found, after, "", "", {
    context: 3,
    timeout: 200,
  });
  return patch === undefined
    ? `${name}: too different to show`
    : patch.split("\n").slice(1).map(foreign).join("\n").trimEnd();
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
