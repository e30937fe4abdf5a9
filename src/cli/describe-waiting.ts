import type { ProgressEvent } from "../progress.ts";

/** For people: what is waited for while nothing comes, which try that is, and for how long already. */
export function describeWaiting({
  what,
  attempt,
  attempts,
  silentMs,
}: Extract<ProgressEvent, { type: "waiting" }>): string {
  const seconds = Math.round(silentMs / 1000);
  return `waiting for the service (${what}), try ${attempt} of ${attempts}, no answer for ${seconds} s`;
}
