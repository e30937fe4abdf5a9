import { plural } from "../plural.ts";
import type { Phase } from "../progress.ts";
import type { ApplyReport } from "../report.ts";
import { printable } from "../tree/printable.ts";
import { formatBytes, formatDuration } from "./quantities.ts";

/** What one phase took. */
export type PhaseCost = { readonly phase: Phase; readonly durationMs: number; readonly requests: number };

/** The phases of a command in the order in which they first ended; one that comes again is added up. */
export class PhaseCosts {
  readonly #costs = new Map<Phase, PhaseCost>();

  add({ phase, durationMs, requests }: PhaseCost): void {
    const before = this.#costs.get(phase) ?? { durationMs: 0, requests: 0 };
    const after = { phase, durationMs: before.durationMs + durationMs, requests: before.requests + requests };
    this.#costs.set(phase, after);
  }

  get all(): readonly PhaseCost[] {
    return [...this.#costs.values()];
  }
}

/** `scan: 86 ms, 1 request` */
export function describePhase({ phase, durationMs, requests }: PhaseCost): string {
  return `${phase}: ${formatDuration(durationMs)}, ${plural(requests, "request")}`;
}

/** How an apply worked and what it cost, as an aligned table. */
export function renderCosts(report: ApplyReport, phases: readonly PhaseCost[], totalMs: number): string {
  const { requests, bytesSent, bytesReceived, retries } = report.counters;
  const times = [
    ...phases.map((cost) => [cost.phase, formatDuration(cost.durationMs), plural(cost.requests, "request")] as const),
    ["in all", formatDuration(totalMs), plural(requests, "request")] as const,
  ];
  const width = Math.max(...times.map(([, time]) => time.length));
  const rows = [
    ["strategy", `${report.strategy}: ${printable(report.strategyReason)}`],
    ["sent", formatBytes(bytesSent)],
    ["received", formatBytes(bytesReceived)],
    ["retries", String(retries)],
    ...times.map(([what, time, count]) => [what, `${time.padStart(width)}  ${count}`]),
  ];
  return rows.map(([what = "", value]) => `${what.padEnd(10)}${value}`).join("\n");
}
