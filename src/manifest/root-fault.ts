import type { PruneRule } from "./manifest.ts";

/** Directories that belong to the system: neither they nor anything below them may be a root (S18). */
const systemTrees = ["bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "proc", "run", "sbin", "sys", "usr"];
/** Directories that may hold a root but not be one. */
const systemDirectories = ["/home", "/media", "/mnt", "/opt", "/srv", "/var", "/var/lib", "/var/log", "/var/cache"];

/** Why `root` cannot be the root of a workspace; undefined when it can. */
export function rootFault(root: string, prune: PruneRule): string | undefined {
  if (root === "") return "is empty";
  if (root.includes("\0")) return "contains a NUL character";
  if (!root.startsWith("/")) return "is not absolute";
  const names = root.split("/").filter((name) => name !== "" && name !== ".");
  if (names.includes("..")) return 'contains ".."';
  const path = `/${names.join("/")}`;
  if (path === "/") return "is the whole file system";
  if (systemTrees.includes(names[0] ?? "") || systemDirectories.includes(path)) return "is a system directory";
  const isShared = path === "/tmp" || path === "/var/tmp" || path === "/root" || /^\/home\/[^/]+$/.test(path);
  if (prune === "all" && isShared) return "holds other people's files and cannot be pruned as a whole";
  return undefined;
}

/** The root in its normal form: no doubled, dotted or trailing parts. */
export function normalRoot(root: string): string {
  return `/${root
    .split("/")
    .filter((name) => name !== "" && name !== ".")
    .join("/")}`;
}
