import { plural } from "../../plural.ts";
import type { ListedSession, SessionOrigin } from "../../transport/agb/agb-sessions.ts";
import { clientState } from "../../transport/agb/client-name.ts";
import { openAccount } from "../../transport/agb/reach-session.ts";
import { printable } from "../../tree/printable.ts";
import { ask } from "../ask.ts";
import type { Context } from "../context.ts";
import { duration } from "../context.ts";
import { exitCodeOf, exitCodes } from "../exit-code.ts";

type Options = { readonly olderThan?: string; readonly yes?: boolean; readonly json?: boolean };

/** What `run` made, and why it is taken for left over or not. */
type Found = ListedSession & { readonly isLeftOver: boolean; readonly why: string };

const DEFAULT_AGE = "1h";
const MINUTE_MS = 60_000;

/**
 * Releases sessions that `run` made and whose client is no more: a process of this machine that has ended, or one of
 * another machine that the session has outlived by `--older-than`. Those of living processes of this machine stay.
 */
export async function prune(context: Context, { olderThan = DEFAULT_AGE, ...options }: Options = {}): Promise<number> {
  const { console, signal } = context;
  const olderThanMs = duration("--older-than", olderThan);
  context.listenForSignals();
  context.warnOfEnvFiles();
  context.whenInterrupted = "some sessions may be released, see: agb-sync session list";
  const account = openAccount(context);
  const { sessions } = account;
  try {
    const listed = await sessions.listRuns(signal);
    const origins = await Promise.all(listed.map(({ sessionId }) => sessions.originOf(sessionId, signal)));
    const found = listed.map((session, index) => judge(session, origins[index], olderThanMs, Date.now()));
    const leftOver = found.filter(({ isLeftOver }) => isLeftOver);
    for (const { sessionId, isLeftOver, why } of found) {
      if (!isLeftOver) console.say(`left    ${printable(sessionId)}: ${why}`);
      else if (options.json !== true) console.print(`release ${printable(sessionId)}: ${why}`);
    }
    if (leftOver.length === 0) {
      console.say("there are no left-over sessions");
      return exitCodes.done;
    }
    if (!(await isAgreed(context, leftOver.length, options))) {
      console.say("nothing was released");
      return exitCodes.failed;
    }
    let code: number = exitCodes.done;
    for (const { sessionId } of leftOver) {
      try {
        await sessions.release(sessionId, signal);
        if (options.json === true) console.printData({ type: "session", sessionId, outcome: "deleted" });
      } catch (error) {
        if (signal.aborted) throw error;
        code = exitCodeOf(error);
        console.fail(error, code);
      }
    }
    if (code === exitCodes.done) console.say(`released ${plural(leftOver.length, "session")}`);
    return code;
  } finally {
    await account.close();
  }
}

function judge(session: ListedSession, origin: SessionOrigin | undefined, olderThanMs: number, nowMs: number): Found {
  const { client, createdMs } = origin ?? {};
  const state = client === undefined ? "unknown" : clientState(client);
  if (state === "dead") return { ...session, isLeftOver: true, why: "its client has ended" };
  if (state === "lives") return { ...session, isLeftOver: false, why: "its client is running on this machine" };
  // Nobody tells how old it is: it may have been made just now.
  if (client === undefined || createdMs === undefined) {
    return { ...session, isLeftOver: false, why: "nothing is known of its client, or of its age" };
  }
  const ageMs = Math.max(0, nowMs - createdMs);
  const age = `its client is on another machine, and it is ${Math.floor(ageMs / MINUTE_MS)} min old`;
  return { ...session, isLeftOver: ageMs >= olderThanMs, why: age };
}

/** Asked on a terminal only: elsewhere nobody is there to answer. */
async function isAgreed(context: Context, count: number, { yes, json }: Options): Promise<boolean> {
  if (yes === true || json === true || !process.stdin.isTTY || !process.stderr.isTTY) return true;
  const question = `Release ${plural(count, "session")}? Their files are gone then. [y/N] `;
  return (await ask(context, question, ["yes", "no"], "no")) === "yes";
}
