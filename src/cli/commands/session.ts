import { UsageError } from "../../errors.ts";
import type { SessionSpec } from "../../manifest/manifest.ts";
import { plural } from "../../plural.ts";
import { openAccount, reachSession } from "../../transport/agb/open-agb-session.ts";
import { printable } from "../../tree/printable.ts";
import type { Context } from "../context.ts";
import { exitCodes } from "../exit-code.ts";

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

/** One line a session, with all that the service lists of it: id and status. Says how many there are. */
export async function list(context: Context, options: ListOptions): Promise<number> {
  const labels = Object.fromEntries((options.label ?? []).map(parseLabel));
  return await withAccount(context, async ({ sessions }) => {
    const found = await sessions.list(labels, context.signal);
    for (const { sessionId, status } of found) {
      if (options.json === true) context.console.printData({ type: "session", sessionId, status });
      else context.console.print(printable(`${sessionId}  ${status.toLowerCase()}`));
    }
    context.console.say(found.length === 0 ? "there are no live sessions" : plural(found.length, "live session"));
  });
}

/** Releases sessions; one that is gone already counts as released. */
export async function remove(context: Context, ids: readonly string[], options: JsonOption = {}): Promise<number> {
  return await withAccount(context, async ({ sessions }) => {
    context.whenInterrupted = "some sessions may be gone, see: agb-sync session list";
    for (const id of ids) {
      await sessions.release(id, context.signal);
      if (options.json === true) context.console.printData({ type: "session", sessionId: id, outcome: "deleted" });
      else context.console.print(`Deleted ${printable(id)}.`);
    }
  });
}

/** Pushes the idle release of sessions away. */
export async function keepAlive(context: Context, ids: readonly string[], options: JsonOption = {}): Promise<number> {
  return await withAccount(context, async ({ sessions }) => {
    for (const id of ids) {
      await sessions.keepAlive(id, context.signal);
      if (options.json === true) context.console.printData({ type: "session", sessionId: id, outcome: "kept-alive" });
      else context.console.print(`Kept ${printable(id)} alive.`);
    }
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

async function withAccount(
  context: Context,
  work: (account: ReturnType<typeof openAccount>) => Promise<void>,
): Promise<number> {
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
