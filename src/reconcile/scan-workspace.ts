import type { BeginScanRequest, BegunScan, Engine, ScanRequest, ScanResult } from "../engine/engine.ts";
import { GuardError, hasCode, TransportError } from "../errors.ts";
import type { Workspace } from "../session.ts";
import type { Known } from "./planned.ts";
import type { ReconcileOptions } from "./reconcile-options.ts";

/** What a scan found, the engine that made it, and why that one, in one clause. */
export type Scanned = { readonly scan: ScanResult; readonly engine: Engine; readonly reason: string };

/**
 * Scans in batches where the session can and nobody wishes otherwise, else step by step.
 * `begun` is what `beginScan` gave. @throws {GuardError} when batches are asked for and the session has no shell.
 */
export async function scanWith(
  workspace: Workspace,
  wish: "auto" | "steps" | "batch",
  request: ScanRequest,
  signal: AbortSignal,
  begun?: BegunScan,
): Promise<Scanned> {
  const { steps, batch } = workspace;
  if (wish === "steps") return { scan: await steps.scan(request, signal), engine: steps, reason: "asked for" };
  if (batch === undefined) {
    if (wish === "batch")
      throw new GuardError("this session cannot work in batches: it has no shell", { hint: "leave --strategy out" });
    return { scan: await steps.scan(request, signal), engine: steps, reason: "the session has no shell" };
  }
  try {
    const reason = wish === "batch" ? "asked for" : "round trips do not grow with the number of files";
    return { scan: await (begun ?? batch).scan(request, signal), engine: batch, reason };
  } catch (error) {
    if (wish === "batch" || !hasCode(error, "NOT_POSSIBLE_HERE")) throw error;
    return { scan: await steps.scan(request, signal), engine: steps, reason: error.message };
  }
}

/** Begins what can be begun before the sources are read. */
export function beginScan(
  { batch }: Workspace,
  wish: "auto" | "steps" | "batch",
  request: BeginScanRequest,
): BegunScan | undefined {
  return wish === "steps" ? undefined : batch?.beginScan?.(request);
}

/**
 * A new session most likely holds no root: that is found out while local sources are read. Undefined when something is
 * there, or nothing can be said: then the scan proper, which wants to know the sources, has its turn.
 */
export async function firstLook(workspace: Workspace, options: ReconcileOptions): Promise<Scanned | undefined> {
  const nothing: ScanRequest = {
    isIgnored: () => true,
    ignorePatterns: [],
    expected: undefined,
    wanted: new Map(),
    needsUnmanaged: false,
    checksum: false,
  };
  try {
    const scanned = await scanWith(workspace, options.strategy ?? "auto", nothing, options.signal);
    return scanned.scan.kind === "tree" && !scanned.scan.rootExists ? scanned : undefined;
  } catch (error) {
    if (options.signal.aborted || !(error instanceof TransportError)) throw error;
    return undefined;
  }
}

/** A scan that needs no session: what earlier scans and commits left known. */
export function fromMemory(workspace: Workspace, { actual, base, held, strategy }: Known): Scanned {
  const engine = strategy === "batch" && workspace.batch !== undefined ? workspace.batch : workspace.steps;
  const holding = held === undefined ? {} : { held };
  return {
    scan: { kind: "tree", rootExists: true, actual, base, recovered: [], ...holding, warnings: [] },
    engine,
    reason: "known from the last scan",
  };
}
