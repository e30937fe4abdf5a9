import type { Manifest } from "../../manifest/manifest.ts";
import type { ProgressEvent } from "../../progress.ts";
import type { Session } from "../../session.ts";
import { printable } from "../../tree/printable.ts";
import { watch } from "../../watch/watch.ts";
import { sessionHint } from "../again.ts";
import type { CommonOptions, Context } from "../context.ts";
import { duration } from "../context.ts";
import { exitCodes } from "../exit-code.ts";
import { ManifestReader } from "../manifest-reader.ts";
import { codeOf, UNFINISHED } from "../render-report.ts";
import type { WatchedPlace } from "../render-watch.ts";
import { showEvent, WatchTotals, watchLine } from "../render-watch.ts";
import { StatusLine } from "../status-line.ts";

type Options = CommonOptions & {
  readonly debounce?: string;
  readonly rescan?: string;
  readonly poll?: string | true;
  readonly onceReadyExit?: boolean;
  readonly renew?: boolean;
};

const DEFAULT_POLL = "1s";
/** How long output may take to leave the process after a signal. */
const EXIT_MS = 200;

/** Applies, then mirrors local changes until a signal comes. */
export async function run(context: Context, given?: string, own: Options = {}): Promise<number> {
  const { manifest: path, options } = context.sortOut(given, own);
  const { console } = context;
  const isJson = options.json === true;
  const hasStatus = !isJson && console.isLive && own.onceReadyExit !== true;
  const status = hasStatus ? new StatusLine(process.stderr) : undefined;
  // Before the listener that says something.
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => status?.end());
  context.listenForSignals();
  context.endWithReader();
  const reader = new ManifestReader(context, path, options);
  context.whenInterrupted = UNFINISHED;
  const progress = context.progress(options);
  const totals = new WatchTotals();
  let isAtRest = false;
  context.isIdle = () => isAtRest;
  let place: WatchedPlace = context.given(path, options);
  const events = watch({
    ...context.reconcileOptions(options, (event) => {
      if (isShown(event, context)) status?.clear();
      progress.onEvent(event);
    }),
    loadManifest: (sessionId) => reader.read(sessionId),
    ...(reader.file === undefined ? {} : { manifestFile: reader.file }),
    connect: async (manifest, mustBeNew) => {
      const session = await connect(context, manifest, options, mustBeNew);
      const { session: _gone, ...others } = options;
      const given = context.given(path, mustBeNew ? others : options, session, manifest.session);
      place = { ...given, files: context.placeOfFiles(manifest, options) };
      return session;
    },
    ...(own.debounce === undefined ? {} : { debounceMs: duration("--debounce", own.debounce) }),
    ...(own.rescan === undefined ? {} : { rescanMs: own.rescan === "0" ? 0 : duration("--rescan", own.rescan) }),
    ...(own.poll === undefined ? {} : { pollMs: duration("--poll", own.poll === true ? DEFAULT_POLL : own.poll) }),
    renew: own.renew ?? false,
    onState: (state) => {
      isAtRest = state.activity === "idle" || state.activity === "waiting";
      status?.show(state);
    },
  });
  let code: number = exitCodes.done;
  try {
    for await (const event of events) {
      progress.clear();
      status?.clear();
      totals.add(event);
      if (isJson) console.printEvent(watchLine(event));
      else showEvent(console, event, place);
      if (own.onceReadyExit !== true || (event.type !== "ready" && event.type !== "cycle")) continue;
      code = codeOf(event.report);
      break;
    }
  } finally {
    progress.clear();
    status?.end();
  }
  code = context.interruptCode ?? code;
  // A call that was given up can keep the process for as long as the session does not answer (W28).
  if (context.interruptCode !== undefined) setTimeout(() => process.exit(code), EXIT_MS).unref();
  const line = isJson ? totals.line(code) : undefined;
  if (line !== undefined) console.printEvent(line);
  else console.say(totals.text());
  return code;
}

async function connect(
  context: Context,
  manifest: Manifest,
  options: CommonOptions,
  mustBeNew: boolean,
): Promise<Session> {
  if (!mustBeNew) {
    const session = await context.connect(manifest, options, true);
    // Its name is in the line that says that it is watched.
    const hint = sessionHint(session.id, manifest.session.name, context.given(undefined, options));
    if (session.origin === "created") context.console.say(`created session ${printable(session.id)}; ${hint}`);
    return session;
  }
  const { session: _gone, ...others } = options;
  return await context.connect(manifest, others, true);
}

/** Whether the event ends up on the terminal. */
function isShown(event: ProgressEvent, { console }: Context): boolean {
  return event.type !== "phase-end" || console.isVerbose;
}
