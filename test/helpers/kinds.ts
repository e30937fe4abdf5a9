import { join } from "node:path";
import { connect } from "../../src/connect.ts";
import type { Session } from "../../src/session.ts";
import { temporaryDirectory } from "./workspace.ts";

/** A session to try things on, and the local directory behind its root. */
export type TestSession = { readonly session: Session; readonly rootDirectory: string };

/** One kind of session with one strategy: every conformance test runs on each. */
export type Kind = {
  readonly name: string;
  readonly strategy: "steps" | "batch";
  /** False where the session cannot hold modes, links or binary content. */
  readonly isFull: boolean;
  open(): Promise<TestSession>;
};

const signal = new AbortController().signal;

async function openEmbedded(): Promise<TestSession> {
  const local = join(temporaryDirectory(), "session");
  const session = await connect({ local, env: {}, cwd: "/", signal });
  return { session, rootDirectory: join(local, "tmp/workspace") };
}

export const kinds: readonly Kind[] = [
  { name: "embedded, batch", strategy: "batch", isFull: true, open: openEmbedded },
  { name: "embedded, steps", strategy: "steps", isFull: true, open: openEmbedded },
];
