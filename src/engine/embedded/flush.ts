import { spawn } from "node:child_process";
import { once } from "node:events";

/** Makes everything on the file system of `directory` durable, once for all files; where that cannot be asked for, not. */
export async function flush(directory: string): Promise<void> {
  const child = spawn("sync", ["-f", directory], { stdio: "ignore" });
  await once(child, "close").catch(() => undefined);
}
