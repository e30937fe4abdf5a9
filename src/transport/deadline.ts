/** A signal that aborts with `signal`, after `ms`, or by `end`, whichever is first. `free` lets go of them. */
export function deadline(
  ms: number,
  signal?: AbortSignal,
): { readonly signal: AbortSignal; readonly end: () => void; readonly free: () => void } {
  const controller = new AbortController();
  const end = () => controller.abort();
  const timer = setTimeout(end, ms);
  signal?.addEventListener("abort", end);
  if (signal?.aborted === true) end();
  return {
    signal: controller.signal,
    end,
    free: () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
    },
  };
}

/** Does work that is to end with `signal`, or after `ms`. */
export async function within<Result>(
  ms: number,
  signal: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const late = deadline(ms, signal);
  try {
    return await work(late.signal);
  } finally {
    late.free();
  }
}
