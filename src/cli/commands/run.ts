import { AgbSyncError, UsageError } from "../../errors.ts";
import type { Manifest } from "../../manifest/manifest.ts";
import type { SessionEnd, SessionFate, SessionRunReport } from "../../reconcile/run-in-session.ts";
import { runInSession } from "../../reconcile/run-in-session.ts";
import type { ApplyReport } from "../../report.ts";
import type { LiveCommand } from "../../run/live-command.ts";
import type { Session } from "../../session.ts";
import { printable } from "../../tree/printable.ts";
import { workspacePathFault } from "../../tree/workspace-path.ts";
import type { Given } from "../again.ts";
import { commandAgain, settleHints } from "../again.ts";
import type { CommonOptions, Context } from "../context.ts";
import { duration } from "../context.ts";
import type { Line } from "../events.ts";
import { summaryLine } from "../events.ts";
import { exitCodes } from "../exit-code.ts";
import { codeOf, renderReport } from "../render-report.ts";

type Options = Omit<CommonOptions, "keep"> & {
  readonly cwd?: string;
  readonly env?: readonly string[];
  readonly timeout?: string;
  readonly keep?: true;
  readonly rm?: true;
};

/** Apply, run one command with live output, release the session. Gives the exit code of the command. */
export async function run(
  context: Context,
  words: readonly string[],
  given?: string,
  { keep, rm, cwd, env, timeout, ...own }: Options = {},
): Promise<number> {
  const startedMs = performance.now();
  const { manifest: path, options } = context.sortOut(given, own);
  const command = commandOf(words, { cwd, env, timeout });
  const end = endOf(keep, rm);
  const { console } = context;
  prepareForSignals(context);
  const manifest = await context.loadManifestFor(path, options);
  const progress = context.progress(options);
  const told: { session?: Session; fate?: SessionFate } = {};
  const report = await runInSession({
    ...context.reconcileOptions(options, progress.onEvent),
    manifest,
    command,
    end,
    connect: async () => await connect(context, manifest, options, end),
    runsDespiteConflicts: options.onConflict === "skip",
    onSession: (session) => {
      told.session = session;
      return welcome(context, manifest, session);
    },
    onApplied: (applied) => {
      progress.clear();
      tellApplied(context, applied, context.given(path, options, told.session, manifest.session));
    },
    onOutput: async (stream, bytes) => await console.printOutput(stream, bytes, context.signal),
    onConnection: (state, error) =>
      console.say(state === "lost" ? `connection lost: ${error?.message ?? ""}; waiting for it` : "connection back"),
    onEnd: (fate) => {
      told.fate = fate;
      progress.clear();
      tellFate(context, fate, context.given(path, options, told.session, manifest.session));
    },
  });
  const code = exitCodeOf(context, report, console.isJson ? undefined : timeout);
  if (console.isJson) {
    const durationMs = Math.round(performance.now() - startedMs);
    console.printEvent(runLine(report, { words, fate: told.fate?.fate ?? "left", code, durationMs }));
  }
  return code;
}

/** A command that is wrong is told before anything is reached or made. @throws {UsageError} */
function commandOf(
  [program, ...others]: readonly string[],
  { cwd = ".", env = [], timeout }: { [Name in "cwd" | "env" | "timeout"]: Options[Name] | undefined },
): LiveCommand {
  if (program === undefined || program === "") {
    throw new UsageError("there is no command to run", {
      hint: "write it behind --, such as: agb-sync run -- npm test",
    });
  }
  const words = [program, ...others] as const;
  if (words.some((word) => word.includes("\0"))) throw new UsageError("the command holds a NUL character");
  const place = cwd.replace(/^(?:\.\/+)+/, "").replace(/\/+$/, "");
  const fault = place === "." || (place === "" && cwd !== "") ? undefined : workspacePathFault(place);
  if (fault !== undefined) throw new UsageError(`--cwd ${JSON.stringify(cwd)} ${fault}`);
  const timeoutMs = timeout === undefined ? undefined : duration("--timeout", timeout);
  if (timeoutMs === 0) throw new UsageError("--timeout 0 leaves no time", { hint: "leave it out for no limit" });
  return {
    words,
    cwd: place === "." ? "" : place,
    env: Object.fromEntries(env.map(parseVariable)),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  };
}

function parseVariable(text: string): readonly [string, string] {
  const [, name, value] = /^([A-Za-z_][A-Za-z0-9_]*)=([^\0]*)$/.exec(text) ?? [];
  if (name !== undefined && value !== undefined) return [name, value];
  // What follows a `=` may be a secret.
  const shown = text.includes("=") ? `${text.slice(0, text.indexOf("="))}=...` : text;
  throw new UsageError(`--env ${shown} is not of the form NAME=VALUE`, {
    hint: "a name is made of letters, digits and _, such as --env LEVEL=debug",
  });
}

function endOf(keep: true | undefined, rm: true | undefined): SessionEnd {
  if (keep === true && rm === true) {
    throw new UsageError("--keep and --rm exclude one another", { hint: "leave one of them out" });
  }
  return keep === true ? "keep" : rm === true ? "release" : "own";
}

function prepareForSignals(context: Context): void {
  context.listenForSignals();
  context.endWithReader();
  context.whenStopping = "stopping; once more to leave at once";
  context.whenGivenUp = "given up: a session may be left, see: agb-sync session list";
}

async function connect(
  context: Context,
  manifest: Manifest,
  options: CommonOptions,
  end: SessionEnd,
): Promise<Session> {
  const session = await context.connect(manifest, options, true, { isForOneRun: end !== "keep" });
  context.whenInterrupted = "the command was not run";
  if (session.kind === "agb") {
    context.whenGivenUp = `given up: session ${printable(session.id)} may be left, and the command in it; release it with: agb-sync session delete ${printable(session.id)}`;
  } else context.whenGivenUp = "given up: the command may go on";
  return session;
}

function welcome(context: Context, manifest: Manifest, session: Session): Manifest {
  const { console } = context;
  const { id: sessionId, origin } = session;
  if (console.isJson) console.printData({ type: "session", sessionId, origin });
  else if (session.kind === "agb")
    console.say(`${origin === "created" ? "created" : "using"} session ${printable(sessionId)}`);
  return context.forSession(manifest, sessionId);
}

function tellApplied(context: Context, report: ApplyReport, given: Given): void {
  const { console } = context;
  context.whenInterrupted = "the command was not run; what was applied is recorded";
  if (console.isJson) return console.printEvent(summaryLine("summary", report, codeOf(report)));
  const hints = settleHints(report.conflicts, given, console.ink);
  console.say(renderReport(report, console.ink, { hints }));
  for (const warning of report.plan.warnings) console.warn(warning);
}

function tellFate({ console }: Context, { sessionId, fate, reason }: SessionFate, given: Given): void {
  const id = printable(sessionId);
  const remove = `agb-sync session delete ${id}`;
  switch (fate) {
    case "released":
      return console.say(`released session ${id}`);
    case "kept": {
      const again = { ...given, session: sessionId };
      return console.say(
        `kept session ${id}; use it with: ${commandAgain("run", again, ["--", "COMMAND"])}; release it with: ${remove}`,
      );
    }
    case "lost":
      return console.warn(`session ${id} could not be released: ${reason ?? ""}; release it with: ${remove}`);
    case "left":
    case "ended":
  }
}

/** The command's own, where it was run; why it was not, or not to its end, is told. */
function exitCodeOf(context: Context, { outcome, apply }: SessionRunReport, timeout: string | undefined): number {
  const { console } = context;
  switch (outcome.kind) {
    case "ended":
      return outcome.exitCode;
    case "timed-out":
      console.say(`the command was ended: it took longer than ${timeout ?? "it may"}`);
      return exitCodes.timedOut;
    case "interrupted":
      console.say("interrupted; the command was ended");
      return context.interruptCode ?? exitCodes.interrupted;
    case "not-run": {
      if (outcome.reason === "interrupted") {
        console.say("interrupted; the command was not run");
        return context.interruptCode ?? exitCodes.interrupted;
      }
      console.explain(notRun(outcome.reason));
      return codeOf(apply) === exitCodes.done ? exitCodes.failed : codeOf(apply);
    }
  }
}

function notRun(reason: "conflicts" | "incomplete"): AgbSyncError {
  return reason === "conflicts"
    ? new AgbSyncError("COMMAND_FAILED", "the command was not run: conflicts are left", {
        hint: "settle them with --on-conflict overwrite or keep, or run it nevertheless with --on-conflict skip",
      })
    : new AgbSyncError("COMMAND_FAILED", "the command was not run: the workspace is not as declared", {
        hint: "mend what is told above, then run again",
      });
}

/** The last line of `--json`: what came of it, and whose the exit code is. */
function runLine(
  { sessionId, outcome }: SessionRunReport,
  more: {
    readonly words: readonly string[];
    readonly fate: SessionFate["fate"];
    readonly code: number;
    readonly durationMs: number;
  },
): Line {
  const isOwn = outcome.kind === "not-run" || outcome.kind === "interrupted";
  return {
    type: "run",
    sessionId,
    session: more.fate,
    command: more.words,
    outcome: outcome.kind,
    reason: outcome.kind === "not-run" ? outcome.reason : null,
    commandExitCode: outcome.kind === "ended" ? outcome.exitCode : null,
    failedBy: more.code === exitCodes.done ? null : isOwn ? "agb-sync" : "command",
    durationMs: more.durationMs,
    exitCode: more.code,
  };
}
