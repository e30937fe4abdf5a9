import type { Plan } from "../plan/plan.ts";

/** Requests to take and give back the lock, and for base and the journal, whatever the plan. */
const STEPS_OVERHEAD = 14;
/** Bytes of text that one write_file carries (protocol §6.2). */
const TEXT_BYTES = 50_000;
/** Contents up to this size ride in the commit command, or in a few parts; larger ones cost an upload's four calls. */
const INLINE_BYTES = 26_000;
const UPLOAD_REQUESTS = 4;

/**
 * About how many requests a plan costs in the session: one or more a step, or one commit with its delivery. Round trips
 * are what an apply waits for, so the strategy with fewer of them is the faster one.
 */
export function estimateRequests(plan: Plan): { readonly steps: number; readonly batch: number } {
  if (plan.steps.length === 0) return { steps: 0, batch: 0 };
  let steps = STEPS_OVERHEAD;
  let contentBytes = 0;
  for (const { step } of plan.steps) {
    // A write is staged and moved; what is replaced or deleted is set aside and removed.
    if (step.op === "write") steps += Math.ceil(step.sizeBytes / TEXT_BYTES) + (step.before === undefined ? 2 : 3);
    else steps += step.op === "delete" ? 2 : 1;
    if (step.op === "write") contentBytes += step.sizeBytes;
  }
  return { steps, batch: 1 + (contentBytes > INLINE_BYTES ? UPLOAD_REQUESTS : 0) };
}
