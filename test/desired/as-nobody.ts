/** Somebody who may do nothing that a file's mode does not allow: root may read everything. */
const NOBODY = 65534;

/** Runs `work` as somebody whom modes hold back, also where the tests run as root. */
export async function asNobody<Result>(work: () => Promise<Result>): Promise<Result> {
  const user = process.geteuid?.();
  if (user !== 0) return await work();
  process.seteuid?.(NOBODY);
  try {
    return await work();
  } finally {
    process.seteuid?.(user);
  }
}
