import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";
import { hasErrno } from "../../errors.ts";
import { digestOf, hexOf } from "../../tree/digest.ts";

/** What is known of the process that a session was made for. */
export type ClientState = "lives" | "dead" | "unknown";

/** This process, as a label: `<machine>_<process id>`. The machine is a digest: its name is nobody's business. */
export function clientName(): string {
  return `${machine()}_${process.pid}`;
}

/** Whether a process lives that {@link clientName} named; unknown for those of other machines. */
export function clientState(name: string): ClientState {
  const [, where = "", id = ""] = /^([0-9a-f]{16})_(\d{1,10})$/.exec(name) ?? [];
  if (where !== machine()) return "unknown";
  try {
    process.kill(Number(id), 0);
    return "lives";
  } catch (error) {
    // It may be somebody else's.
    return hasErrno(error, "EPERM") ? "lives" : "dead";
  }
}

/** Containers on one machine may share its name and the ids of their processes: the boot and the namespace tell them apart. */
function machine(): string {
  const parts = [
    hostname(),
    ifThere(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()),
    ifThere(() => readlinkSync("/proc/self/ns/pid")),
  ];
  return hexOf(digestOf(JSON.stringify(parts))).slice(0, 16);
}

/** Only Linux has them. */
function ifThere(read: () => string): string {
  try {
    return read();
  } catch {
    return "";
  }
}
