import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { onTestFinished } from "vitest";

const STARTED = "http.server.request.start";

/** Counts, at the servers of this process, the requests that are under way at once and those that there were in all. */
export function countUnderWay(): {
  readonly now: () => number;
  readonly most: () => number;
  readonly all: () => number;
  readonly reset: () => void;
} {
  let now = 0;
  let most = 0;
  let all = 0;
  const count = (message: unknown) => {
    if (!isStart(message)) return;
    now += 1;
    all += 1;
    most = Math.max(most, now);
    message.response.once("close", () => (now -= 1));
  };
  subscribe(STARTED, count);
  onTestFinished(() => void unsubscribe(STARTED, count));
  return {
    now: () => now,
    most: () => most,
    all: () => all,
    reset: () => {
      most = now;
      all = 0;
    },
  };
}

type Start = { readonly request: IncomingMessage; readonly response: ServerResponse; readonly server: Server };

function isStart(message: unknown): message is Start {
  return typeof message === "object" && message !== null && "response" in message && "request" in message;
}
