import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { normalRoot, rootFault } from "../../src/manifest/root-fault.ts";

describe("a root (S18)", () => {
  it.each([
    "/tmp/w",
    "/tmp",
    "/home/me",
    "/home/me/w",
    "/root",
    "/opt/w",
    "/var/lib/w",
    "//tmp//w/./",
    "/w",
    "/tmp/a..b",
  ])("may be %s", (root) => {
    expect(rootFault(root, "managed")).toBeUndefined();
  });

  it.each([
    ["", "is empty"],
    ["w", "is not absolute"],
    ["./w", "is not absolute"],
    ["~/w", "is not absolute"],
    ["/tmp/\0", "contains a NUL character"],
    ["/", "is the whole file system"],
    ["//./", "is the whole file system"],
    ["/tmp/..", 'contains ".."'],
    ["/etc", "is a system directory"],
    ["//etc/./x/", "is a system directory"],
    ["/usr/local/w", "is a system directory"],
    ["/proc/1", "is a system directory"],
    ["/home", "is a system directory"],
    ["/var/lib/", "is a system directory"],
    ["/opt", "is a system directory"],
  ])("may not be %j", (root, fault) => {
    expect(rootFault(root, "managed")).toBe(fault);
  });

  it.each(["/tmp", "/var/tmp/", "/root", "/home/me", "//home/./me"])(
    "may not be %s when all else is pruned",
    (root) => {
      expect(rootFault(root, "none")).toBeUndefined();
      expect(rootFault(root, "all")).toBe("holds other people's files and cannot be pruned as a whole");
      expect(rootFault(`${root}/w`, "all")).toBeUndefined();
    },
  );

  it("is judged by what it means, not by how it is written", () => {
    const names = fc.constantFrom("tmp", "etc", "home", "me", "w", "var", "lib", ".", "");
    const property = fc.property(
      fc.array(names),
      fc.constantFrom("all" as const, "managed" as const),
      (parts, prune) => {
        const root = `/${parts.join("/")}`;
        expect(rootFault(normalRoot(root), prune)).toBe(rootFault(root, prune));
        expect(normalRoot(root)).toMatch(/^\/$|^(\/(?!\.?(\/|$))[^/]+)+$/);
      },
    );
    expect(() => fc.assert(property)).not.toThrow();
  });
});
