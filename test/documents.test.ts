import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { describe, expect, it } from "vitest";

const top = join(import.meta.dirname, "..");
const read = (path: string) => readFileSync(join(top, path), "utf8");

/** Every text of the project that may name a promise or a section. */
const texts = ["src", "test", ".build", "schemas"].flatMap((folder) =>
  readdirSync(join(top, folder), { recursive: true, encoding: "utf8" })
    .map((name) => `${folder}/${name}`)
    .filter((path) => /\.(ts|mjs|sh|md)$/.test(path) && !path.includes("/results/")),
);

/** The places of what `pattern` finds, by its first group. */
function places(pattern: RegExp): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const path of [...texts, "README.md"]) {
    for (const [, name = ""] of read(path).matchAll(pattern)) if (!found.has(name)) found.set(name, path);
  }
  return found;
}

describe("every number that is named is defined in the repository", () => {
  it("promises, in test/promises.md", () => {
    const defined = new Set([...read("test/promises.md").matchAll(/^- \*\*([SW]\d+)\*\* /gm)].map(([, name]) => name));
    const undefinedOnes = [...places(/\b([SW]\d{1,2})\b/g)].filter(([name]) => !defined.has(name));
    expect(undefinedOnes).toEqual([]);
    expect(defined.size).toBe(47 + 33);
  });

  it("sections of the protocol, in src/transport/agb/README.md", () => {
    const page = read("src/transport/agb/README.md");
    const defined = new Set([...page.matchAll(/^(?:## |- \*\*)§(\d+(?:\.\d+)?)\b/gm)].map(([, name]) => name));
    const undefinedOnes = [...places(/protocol §(\d+(?:\.\d+)?)/g)].filter(([name]) => !defined.has(name));
    expect(undefinedOnes).toEqual([]);
    expect(defined.has("6.2") && defined.has("14")).toBe(true);
  });

  it("and no text points to a document that is not there", () => {
    expect([...places(/((?:product|promises|house|speed)(?:\.md)? §[\d.]+)/g)]).toEqual([]);
  });
});

describe("every file that a page names is there", () => {
  const pages = texts.filter((path) => path.endsWith("/README.md"));

  it.each([...pages, ".github/CONTRIBUTING.md"])("%s", (page) => {
    const named = [...read(page).matchAll(/`([\w./-]+\.(?:ts|mjs|sh|md)|(?:src|test|schemas|examples)\/[\w./-]*)`/g)];
    const missing = named.flatMap(([, name = ""]) => (isThere(name, page) || name.startsWith("dist/") ? [] : [name]));
    expect(missing).toEqual([]);
  });
});

/** By its path from the top or from the page; a bare name may be that of any file. What is built need not be there. */
function isThere(name: string, page: string): boolean {
  if ([top, join(top, dirname(page))].some((directory) => existsSync(join(directory, name)))) return true;
  return !name.includes("/") && texts.some((path) => basename(path) === name);
}
