import { hasCode, TransportError, UsageError } from "../../errors.ts";
import type { SessionSpec } from "../../manifest/manifest.ts";
import { plural } from "../../plural.ts";
import { openAccount, reachSession } from "../../transport/agb/reach-session.ts";
import { printable } from "../../tree/printable.ts";
import type { Context } from "../context.ts";
import { exitCodeOf, exitCodes } from "../exit-code.ts";
import { renderSessions, sessionLine } from "../render-sessions.ts";

type Account = ReturnType<typeof openAccount>;
type JsonOption = { readonly json?: boolean };
type CreateOptions = JsonOption & { readonly image?: string; readonly name?: string };
type ListOptions = JsonOption & { readonly label?: readonly string[] };

/** Prints the id of a new session, or of the live one of that name. */
export async function create(context: Context, manifest?: string, options: CreateOptions = {}): Promise<number> {
  const spec = await specOf(context, manifest, options);
  context.whenInterrupted = "a session may have been created, see: agb-sync session list";
  return await withAccount(context, async ({ sessions }) => {
    const { details, origin } = await reachSession(sessions, { spec, create: true, signal: context.signal });
    const { sessionId } = details;
    if (options.json === true) context.console.printData({ type: "session", sessionId, origin });
    else context.console.print(printable(sessionId));
    const how = origin === "created" ? `created from ${spec.image}` : `a live session named ${spec.name}`;
    context.console.say(printable(how));
  });
}

/** One line a session: id, status, and what its labels tell. Says how many there are. */
export async function list(context: Context, options: ListOptions): Promise<number> {
  const labels = Object.fromEntries((options.label ?? []).map(parseLabel));
  return await withAccount(context, async ({ sessions }) => {
    const found = await sessions.list(labels, context.signal);
    const origins = await Promise.all(found.map(({ sessionId }) => sessions.originOf(sessionId, context.signal)));
    const listed = found.map((session, index) => ({ ...session, origin: origins[index] }));
    if (options.json === true) for (const session of listed) context.console.printData(sessionLine(session));
    else for (const line of renderSessions(listed, Date.now())) context.console.print(printable(line));
    context.console.say(found.length === 0 ? "there are no live sessions" : plural(found.length, "live session"));
  });
}

/** Releases sessions, by id or name. What names none is said, with exit 69; the others are released nevertheless. */
export async function remove(context: Context, ids: readonly string[], options: JsonOption = {}): Promise<number> {
  context.whenInterrupted = "some sessions may be gone, see: agb-sync session list";
  return await forEachNamed(context, ids, async ({ sessions }, sessionId, shown) => {
    await sessions.release(sessionId, context.signal);
    if (options.json === true) context.console.printData({ type: "session", sessionId, outcome: "deleted" });
    else context.console.print(`Deleted ${shown}.`);
  });
}

/** Pushes the idle release of sessions away, by id or name. */
export async function keepAlive(context: Context, ids: readonly string[], options: JsonOption = {}): Promise<number> {
  return await forEachNamed(context, ids, async ({ sessions }, sessionId, shown) => {
    await sessions.keepAlive(sessionId, context.signal);
    if (options.json === true) context.console.printData({ type: "session", sessionId, outcome: "kept-alive" });
    else context.console.print(`Kept ${shown} alive.`);
  });
}

/** Looks before it works: the service takes any id for one that it has released. */
async function forEachNamed(
  context: Context,
  named: readonly string[],
  work: (account: Account, sessionId: string, shown: string) => Promise<void>,
): Promise<number> {
  let code: number = exitCodes.done;
  await withAccount(context, async (account) => {
    for (const word of named) {
      try {
        const sessionId = await idOf(account, word, context.signal);
        const shown = sessionId === word ? sessionId : `${sessionId} (${word})`;
        await work(account, sessionId, printable(shown));
      } catch (error) {
        if (!hasCode(error, "SESSION_NOT_FOUND", "SESSION_GONE", "USAGE")) throw error;
        code = exitCodeOf(error);
        context.console.fail(error, code);
      }
    }
  });
  return code;
}

/** The id of the live session of that id or, there being none, of that name. */
async function idOf({ sessions }: Account, word: string, signal: AbortSignal): Promise<string> {
  try {
    if (word !== "") return (await sessions.attach(word, signal)).sessionId;
  } catch (error) {
    if (!hasCode(error, "SESSION_NOT_FOUND")) throw error;
  }
  const [first, ...others] = word === "" ? [] : await sessions.allNamed(word, signal);
  if (first === undefined) {
    throw new TransportError(
      "SESSION_NOT_FOUND",
      `there is no live session with the id or the name ${JSON.stringify(word)}`,
      {
        hint: "list the live ones with: agb-sync session list",
      },
    );
  }
  if (others.length === 0) return first;
  throw new UsageError(`${others.length + 1} live sessions have the name ${word}: ${[first, ...others].join(", ")}`, {
    hint: "name them by their ids",
  });
}

async function specOf(context: Context, manifest: string | undefined, options: CreateOptions): Promise<SessionSpec> {
  const name = options.name === undefined ? {} : { name: options.name };
  if (options.image !== undefined && manifest === undefined) return { image: options.image, labels: {}, ...name };
  const { session } = await context.loadManifest(manifest, undefined, false);
  if (session === undefined) {
    throw new UsageError("the manifest does not say which image", { hint: "add session: to it, or give --image" });
  }
  return { ...session, ...(options.image === undefined ? {} : { image: options.image }), ...name };
}

function parseLabel(text: string): readonly [string, string] {
  const equals = text.indexOf("=");
  if (equals > 0 && equals < text.length - 1) return [text.slice(0, equals), text.slice(equals + 1)];
  throw new UsageError(`--label ${JSON.stringify(text)} is not of the form key=value`);
}

async function withAccount(context: Context, work: (account: Account) => Promise<void>): Promise<number> {
  context.listenForSignals();
  context.warnOfEnvFiles();
  const account = openAccount(context);
  try {
    await work(account);
  } finally {
    await account.close();
  }
  return exitCodes.done;
}
