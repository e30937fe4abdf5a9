import { describe, expect, it } from "vitest";
import { parseDotEnv } from "../../src/environment/parse-dot-env.ts";

describe("the text of a .env file", () => {
  it.each<[string, Record<string, string>]>([
    ["A=1\nB=2", { A: "1", B: "2" }],
    ["\ufeffA=1\r\nB=2\r\n", { A: "1", B: "2" }],
    ["\tA=1\nB\t=2\nC=\t3\nD =\t 4 \t\n", { A: "1", B: "2", C: "3", D: "4" }],
    ["export A=1\nexport\tB=2\n  export  C = 3", { A: "1", B: "2", C: "3" }],
    ['A=\t"x y"\t# said\nB=\'#\'\nC=`it\'s "so"`', { A: "x y", B: "#", C: 'it\'s "so"' }],
    ['A=x # said\nB=x#said\nC="x#y"\nD=#', { A: "x", B: "x", C: "x#y", D: "" }],
    ['A="one\ntwo"\nB="one\\ntwo"\nC=\'one\\ntwo\'', { A: "one\ntwo", B: "one\ntwo", C: "one\\ntwo" }],
    ["A: 1\nB.c-d=2\nE=\nF=a=b\nG=a\tb", { A: "1", "B.c-d": "2", E: "", F: "a=b", G: "a\tb" }],
    ["# A=1\n\n=x\nwords\nA", {}],
    ["A=1\nA=2", { A: "2" }],
    ['A="open\nB=2', { A: '"open', B: "2" }],
    ["", {}],
  ])("%j", (text, expected) => {
    expect({ ...parseDotEnv(text) }).toEqual(expected);
  });

  it("takes no name for more than a name", () => {
    const values = parseDotEnv("__proto__=a\nconstructor=b\n");
    expect([Object.keys(values), values["toString"], values["__proto__"]]).toEqual([
      ["constructor"],
      undefined,
      undefined,
    ]);
  });

  it("is read in time that grows with its length", () => {
    const odd = ['A="', "A='\\'", "  export ", "A=`", "\t"].map((part) => part.repeat(20_000));
    const startedMs = performance.now();
    for (const text of [...odd, ...odd.map((text) => text.replaceAll("A", "\nA"))]) parseDotEnv(text);
    expect(performance.now() - startedMs).toBeLessThan(3000);
  });
});
