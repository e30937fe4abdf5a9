import { once } from "node:events";
import { parseBehaviour } from "../../emulator/parse-behaviour.ts";
import { parseMissingTools } from "../../emulator/parse-missing-tools.ts";
import { parseFaults } from "../../emulator/session/parse-faults.ts";
import { startEmulator } from "../../emulator/start-emulator.ts";
import { UsageError } from "../../errors.ts";
import { printable } from "../../tree/printable.ts";
import type { Context } from "../context.ts";
import { duration } from "../context.ts";
import { exitCodes } from "../exit-code.ts";

type Options = {
  readonly port: string;
  readonly host?: string;
  readonly allowOrigin?: readonly string[];
  readonly root?: string;
  readonly apiKey?: string;
  readonly latency?: string;
  readonly transferLag?: string;
  readonly fault?: string;
  readonly without?: string;
  readonly link?: boolean;
  readonly behave?: readonly string[];
};

/** Serves until a signal comes. */
export async function run(context: Context, options: Options): Promise<number> {
  const port = /^\d{1,5}$/.test(options.port) ? Number(options.port) : -1;
  if (port < 0 || port > 65_535) throw new UsageError(`--port ${options.port} is not a port`);
  context.listenForSignals();
  context.isIdle = () => true;
  context.endWithReader();
  const emulator = await startEmulator({
    port,
    ...parseBehaviour(options.behave ?? []),
    ...(options.host === undefined ? {} : { host: options.host }),
    allowedOrigins: (options.allowOrigin ?? []).map(originOf),
    keptRequests: 0,
    ...(options.root === undefined ? {} : { rootDir: options.root }),
    ...(options.apiKey === undefined ? {} : { apiKey: options.apiKey }),
    ...(options.latency === undefined ? {} : { latencyMs: duration("--latency", options.latency) }),
    ...(options.transferLag === undefined ? {} : { transferLagMs: duration("--transfer-lag", options.transferLag) }),
    ...(options.fault === undefined ? {} : { faults: parseFaults(options.fault) }),
    missingTools: parseMissingTools(options.without ?? ""),
    link: options.link ?? false,
  });
  const { console } = context;
  console.print(`AGB emulator on ${emulator.url}`);
  console.print(`  export AGB_ENDPOINT=${emulator.url} AGB_API_KEY=${printable(emulator.apiKey)}`);
  if (emulator.hostNotice !== undefined) console.warn(emulator.hostNotice);
  if (emulator.shellNotice !== undefined) console.warn(emulator.shellNotice);
  if (!context.signal.aborted) await once(context.signal, "abort");
  await emulator.close();
  return exitCodes.done;
}

function originOf(text: string): string {
  const origin = URL.canParse(text) ? new URL(text).origin : "null";
  if (origin !== "null" && new URL(text).href === `${origin}/`) return origin;
  throw new UsageError(`--allow-origin ${text} is not the origin of a page`, {
    hint: "write scheme, host and port as a browser sends them: --allow-origin http://localhost:3000",
  });
}
