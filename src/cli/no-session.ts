import { randomUUID } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "../connect.ts";
import type { Session } from "../session.ts";

/** Stands for a session that is not there yet: its workspace is empty, and nothing is ever written to it. */
export async function noSession(
  env: Readonly<Record<string, string | undefined>>,
  signal: AbortSignal,
): Promise<Session> {
  const local = join(tmpdir(), `agb-sync-none-${randomUUID()}`);
  return { ...(await connect({ local, env, cwd: tmpdir(), signal })), id: "" };
}
