import { randomUUID } from "node:crypto";
import pLimit from "p-limit";
import { systemClock } from "../clock.ts";
import { hasCode, TransportError } from "../errors.ts";
import { printable } from "../tree/printable.ts";
import { BackgroundJob, type JobStream, type JobView } from "./background-job.ts";
import { sleepOrAbort } from "./retry-policy.ts";
import { codeOfStderr } from "./stderr-reason.ts";
import type { ShellRequest, ShellResult } from "./transport.ts";

/** Bytes of the answer in one page: as base64 still far below what is known to pass (protocol §14, response cap). */
const PAGE_BYTES = 32_000;
const LEAST_PAGE_BYTES = 1000;
/** Listings of several million files. */
const LONGEST_BYTES = 256 * 1024 * 1024;
const PAGES_AT_A_TIME = 8;
/** Characters of what a failed command said last. */
const LAST_ERRORS = 300;
const FIRST_POLL_MS = 50;
const LONGEST_POLL_MS = 1000;
/** Hashing a hundred gigabytes takes minutes; an hour means that something is stuck. */
const LONGEST_MS = 20 * 60_000;

/**
 * Has a read-only command make its answer in the background of the session, below its temporary directory, and fetches
 * that in pages: for answers that are too long or take too long for one request.
 * @throws {TransportError} what the command's standard error means when it failed; `TIMEOUT`.
 */
export async function askInBackground(
  shell: (request: ShellRequest, signal: AbortSignal) => Promise<ShellResult>,
  command: string,
  what: string,
  signal: AbortSignal,
): Promise<string> {
  const job = new BackgroundJob(shell, { directory: `/tmp/agb-sync-${randomUUID()}` });
  await job.start(`LC_ALL=C; export LC_ALL\n${command}`, { joinsErrors: false }, signal);
  try {
    const startedMs = performance.now();
    for (let pauseMs = FIRST_POLL_MS; ; pauseMs = Math.min(LONGEST_POLL_MS, pauseMs * 1.5)) {
      const { exitCode, output, errors } = await page(job, 0, PAGE_BYTES, signal);
      if (exitCode === 0) return await fetchRest(job, output, signal);
      if (exitCode !== undefined) {
        const reason = errors.bytes.toString("utf8").slice(-LAST_ERRORS);
        throw new TransportError(codeOfStderr(reason), `${what}: ${printable(reason.trim()) || `status ${exitCode}`}`);
      }
      if (performance.now() - startedMs > LONGEST_MS) {
        await job.stop(signal);
        throw new TransportError("TIMEOUT", `${what}: it does not come to an end`);
      }
      await sleepOrAbort(systemClock, pauseMs, signal);
    }
  } finally {
    await job.remove(AbortSignal.timeout(30_000)).catch(() => undefined);
  }
}

async function fetchRest(
  job: BackgroundJob,
  { sizeBytes, bytes: first }: JobStream,
  signal: AbortSignal,
): Promise<string> {
  const limit = pLimit(PAGES_AT_A_TIME);
  if (sizeBytes > LONGEST_BYTES) {
    throw new TransportError(
      "BAD_ANSWER",
      `the answer has ${sizeBytes} bytes: more than ${LONGEST_BYTES} are not read`,
      {
        hint: "declare a smaller part of the workspace, or ignore what is not needed",
      },
    );
  }
  const offsets = Array.from({ length: Math.ceil(sizeBytes / PAGE_BYTES) }, (_, page) => page * PAGE_BYTES).slice(1);
  const rest = await Promise.all(
    offsets.map((offset) => limit(async () => (await page(job, offset, PAGE_BYTES, signal)).output.bytes)),
  );
  return Buffer.concat([first, ...rest])
    .toString("latin1")
    .trimEnd();
}

/** One page; in halves where the session cuts even that off. */
async function page(job: BackgroundJob, outputAt: number, mostBytes: number, signal: AbortSignal): Promise<JobView> {
  try {
    return await job.look({ outputAt, mostBytes }, signal);
  } catch (error) {
    if (!hasCode(error, "BAD_ANSWER") || mostBytes < LEAST_PAGE_BYTES) throw error;
    const half = Math.ceil(mostBytes / 2);
    const one = await page(job, outputAt, half, signal);
    const other = await page(job, outputAt + half, half, signal);
    // The first look says whether the job had ended before any of this was read.
    const bytes = Buffer.concat([one.output.bytes, other.output.bytes]);
    return { ...one, output: { ...one.output, bytes } };
  }
}
