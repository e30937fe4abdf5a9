/** A signal that aborts with `signal` or after `ms`, whichever is first. `free` lets go of both. */
export function deadline(
  ms: number,
  signal?: AbortSignal,
): { readonly signal: AbortSignal; readonly free: () => void } {
  const controller = new AbortController();
  const end = () => controller.abort();
  const timer = setTimeout(end, ms);
  signal?.addEventListener("abort", end);
  if (signal?.aborted === true) end();
  return {
    signal: controller.signal,
    free: () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
    },
  };
}
