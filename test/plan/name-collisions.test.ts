import { describe, expect, it } from "vitest";
import { nameCollisions } from "../../src/plan/name-collisions.ts";
import { possibleHere } from "../../src/plan/possible-here.ts";
import type { Features } from "../../src/transport/transport.ts";
import { workspacePath } from "../../src/tree/workspace-path.ts";

const features: Features = {
  modes: true,
  links: true,
  binary: true,
  removeDirectory: true,
  anyName: true,
  shell: true,
  foldsNames: true,
};
const paths = (...texts: readonly string[]) => texts.map((text) => workspacePath(text));

describe("names that a file system cannot tell apart (S28)", () => {
  it.each([
    [["Readme", "README", "other"], { Readme: "README" }],
    [["a/b", "A/b", "A/B"], { "A/b": "A/B", "a/b": "A/B" }],
    [["caf\u00e9", "cafe\u0301"], { "caf\u00e9": "cafe\u0301" }],
    [["a", "b", "ab"], {}],
  ])("%j", (texts, expected) => {
    expect(Object.fromEntries(nameCollisions(paths(...texts)))).toEqual(expected);
  });

  it("are said to be impossible before anything is written, where they are", () => {
    const step = { op: "create-directory", path: workspacePath("Readme"), mode: 0o755 } as const;
    const desired = paths("Readme", "README");
    expect(possibleHere(features, new Set(), desired)(step)).toContain("cannot tell it from README");
    expect(possibleHere({ ...features, foldsNames: false }, new Set(), desired)(step)).toBeUndefined();
  });
});
