import { systemClock } from "../clock.ts";
import { hasCode, messageOf, TransportError } from "../errors.ts";
import { forSession } from "../manifest/for-session.ts";
import type { Manifest } from "../manifest/manifest.ts";
import type { ApplyReport } from "../report.ts";
import { keepAlive } from "../run/keep-alive.ts";
import type { LiveCommand, LiveOptions, LiveOutcome } from "../run/live-command.ts";
import { runLive } from "../run/live-command.ts";
import type { Session } from "../session.ts";
import { within } from "../transport/deadline.ts";
import type { Transport } from "../transport/transport.ts";
import { workspacePath } from "../tree/workspace-path.ts";
import { apply } from "./apply-plan.ts";
import type { ReconcileOptions } from "./reconcile-options.ts";

/** What becomes of the session at the end: `own` releases one that was created for this run, and no other. */
export type SessionEnd = "own" | "keep" | "release";

/** How to run one command in a workspace. */
export type SessionRunOptions = Omit<ReconcileOptions, "sources" | "fullScan" | "onHeldBack"> & {
  readonly manifest: Manifest;
  readonly command: LiveCommand;
  /** Reaches the session, or creates it: `connect` with `isForOneRun`. */
  readonly connect: () => Promise<Session>;
  /** Default `own`. */
  readonly end?: SessionEnd;
  /** Run the command although conflicts are left. Default false: then it is not run. */
  readonly runsDespiteConflicts?: boolean;
  readonly onOutput: LiveOptions["onOutput"];
  readonly onConnection?: LiveOptions["onConnection"];
  /** The session is there. Gives the manifest as it is meant for it, if that is not the one given. */
  readonly onSession?: (session: Session) => Manifest | undefined;
  /** The workspace is as far as it will be; the command begins after this, if it does. */
  readonly onApplied?: (report: ApplyReport) => void;
  /**
   * After the command, however it ended, and before the session is released: the place for what is to come back. Not
   * called when the command was not run.
   */
  readonly beforeEnd?: (session: Session, outcome: LiveOutcome) => Promise<void>;
  /** What became of the session, on every way out. */
  readonly onEnd?: (end: SessionFate) => void;
};

/**
 * What became of the session: `ended` is one that ended under the run, `left` one that was not for it alone, `lost` one
 * that could not be released.
 */
export type SessionFate = {
  readonly sessionId: string;
  readonly fate: "released" | "kept" | "left" | "ended" | "lost";
  /** Why it is lost. */
  readonly reason?: string;
};

/** What came of it: the command is not run in a workspace that is not as declared. */
export type SessionRunReport = {
  readonly sessionId: string;
  readonly apply: ApplyReport;
  readonly outcome:
    | LiveOutcome
    | { readonly kind: "not-run"; readonly reason: "conflicts" | "incomplete" | "interrupted" };
};

/** How long the release of a session may take, with its repetitions. */
const RELEASE_MS = 20_000;

/**
 * A workspace's whole life: reaches or creates the session, applies the manifest, runs the command with live output, and
 * releases the session if it was created for this, on every way out. When the signal aborts, the command is ended first.
 * @throws as `connect`, `apply` and `runLive`; a session that ends meanwhile is `SESSION_GONE`.
 */
export async function runInSession(options: SessionRunOptions): Promise<SessionRunReport> {
  const { command, signal, end = "own" } = options;
  const session = await options.connect();
  const over = new AbortController();
  let isGone = false;
  try {
    const manifest = options.onSession?.(session) ?? forSession(options.manifest, session.id);
    const { transport } = session.openWorkspace(manifest.root);
    await mustHaveShell(session, manifest, signal);
    // Whether it ended meanwhile is noticed by whatever is under way.
    void keepAlive(session, manifest, systemClock, over.signal, () => undefined);
    const applied = await apply(manifest, session, options);
    options.onApplied?.(applied);
    const { id: sessionId } = session;
    const reason = signal.aborted ? "interrupted" : reasonAgainst(applied, options.runsDespiteConflicts ?? false);
    if (reason !== undefined) return { sessionId, apply: applied, outcome: { kind: "not-run", reason } };
    await mustBeThere(command.cwd, transport, signal);
    const { onOutput, onConnection } = options;
    const live = { onOutput, signal, ...(onConnection === undefined ? {} : { onConnection }) };
    const outcome = await runLive(command, transport, live);
    await options.beforeEnd?.(session, outcome);
    return { sessionId, apply: applied, outcome };
  } catch (error) {
    isGone = hasCode(error, "SESSION_GONE", "SESSION_NOT_FOUND");
    throw error;
  } finally {
    over.abort();
    const fate = await leave(session, end);
    options.onEnd?.(isGone ? { ...fate, fate: "ended" } : fate);
  }
}

/** Why the command is not run: it was written for the declared workspace. */
function reasonAgainst(report: ApplyReport, despiteConflicts: boolean): "conflicts" | "incomplete" | undefined {
  const { outcomes, plan, unreadable, commands, conflicts, kept, owed, verified } = report;
  const isDone = outcomes.every(({ result }) => result.status === "applied" || result.status === "conflict");
  const isFailed = commands.some(({ status }) => status === "failed");
  if (!isDone || isFailed || plan.unsupported.length + unreadable.length > 0) return "incomplete";
  // What is owed waits for the conflicts, and what is in conflict is not verified.
  if (conflicts.length > 0) return despiteConflicts ? undefined : "conflicts";
  return owed.length === 0 && (verified || kept.length > 0) ? undefined : "incomplete";
}

/** Told before anything is written. */
async function mustHaveShell(session: Session, { root }: Manifest, signal: AbortSignal): Promise<void> {
  if ((await session.openWorkspace(root).transport.features(signal)).shell) return;
  throw new TransportError("NOT_POSSIBLE_HERE", "the session has no shell tool: commands cannot be run in it", {
    hint: "use an image with a shell (session.image); nothing was written",
  });
}

/** What fails before the command runs must not look like its own failure. */
async function mustBeThere(cwd: string, transport: Transport, signal: AbortSignal): Promise<void> {
  if (cwd === "") return;
  const found = await transport.stat(workspacePath(cwd), signal);
  if (found !== undefined && found.kind !== "file") return;
  const what = found === undefined ? "is not there" : "is not a directory";
  throw new TransportError("NOT_FOUND", `the command cannot run in ${cwd}: it ${what} below ${transport.root}`, {
    hint: "declare it in the manifest, or name another with --cwd",
  });
}

/** Never throws: what went wrong before is what is told. */
async function leave(session: Session, end: SessionEnd): Promise<SessionFate> {
  const { id: sessionId } = session;
  try {
    if (session.kind === "embedded") return { sessionId, fate: "left" };
    if (end === "keep") return { sessionId, fate: "kept" };
    if (end === "own" && session.origin !== "created") return { sessionId, fate: "left" };
    await within(RELEASE_MS, undefined, async (late) => await session.release(late));
    return { sessionId, fate: "released" };
  } catch (error) {
    return { sessionId, fate: "lost", reason: messageOf(error) };
  } finally {
    await session.close().catch(() => undefined);
  }
}
