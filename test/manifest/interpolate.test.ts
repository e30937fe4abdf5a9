import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { interpolate, interpolateTemplate } from "../../src/manifest/interpolate.ts";

const variables = {
  vars: { a: "one", "b.c-d": "two", empty: "", code: "${vars.a}" },
  env: { TOKEN: "abc", EMPTY: "" },
  envFiles: () => ({ values: { FILED: "from a file", TOKEN: "hidden", EMPTY: "hidden" }, faults: ["told"] }),
};
const runs = { numRuns: Number(process.env["FUZZ_RUNS"] ?? 300) };

describe("interpolation", () => {
  it.each([
    ["", ""],
    ["plain $ { } $x $(y) %{z}", "plain $ { } $x $(y) %{z}"],
    ["${vars.a}", "one"],
    ["<${ vars.a }>", "<one>"],
    ["${vars.b.c-d}${env.TOKEN}", "twoabc"],
    ["${vars.empty}", ""],
    ["${vars.empty:-d}", "d"],
    ["${vars.empty-d}", ""],
    ["${vars.empty:-}", ""],
    ["${vars.nope-d}", "d"],
    ["${vars.nope-}", ""],
    ["${vars.nope-a-b}", "a-b"],
    ["${vars.nope-:-b}", ":-b"],
    ["${vars.a-d}", "one"],
    ["${vars.b.c-d-x}", "two"],
    ["${ vars.nope - d }", " d "],
    ["${vars.b.c-d:-x}", "two"],
    ["${env.EMPTY:-d}${env.EMPTY-d}${env.NOPE-d}", "dd"],
    ["${env.FILED}${env.TOKEN}${env.FILED:-x}", "from a fileabcfrom a file"],
    ["${env.__proto__:-x}${env.constructor-y}${vars.__proto__-z}", "xyz"],
    ["${vars.nope:-d}", "d"],
    ["${vars.nope:-}", ""],
    ["${vars.nope:-a:-b}", "a:-b"],
    ["${vars.nope:-two\nlines}", "two\nlines"],
    ["${vars.code}", "${vars.a}"],
    ["$${vars.a}", "${vars.a}"],
    ["$$${vars.a}", "$${vars.a}"],
    ["${vars.a}$${vars.a}", "one${vars.a}"],
    ["$${${vars.a}", "${one"],
  ])("of %j gives %j", (text, expected) => {
    expect(interpolate(text, variables)).toMatchObject({ text: expected, faults: [] });
  });

  it.each([
    ["${vars.nope}", [[0, 12, "UNDEFINED_NAME", "vars.nope is not defined"]]],
    ["x${env.TOKN}y", [[1, 12, "UNDEFINED_NAME", "env.TOKN is not defined"]]],
    ["${vars.toString}", [[0, 16, "UNDEFINED_NAME", "vars.toString is not defined"]]],
    ["${vars.b.d-d}", [[0, 13, "UNDEFINED_NAME", "vars.b.d-d is not defined"]]],
    ["${session.name}", [[0, 15, "UNDEFINED_NAME", "session.name is not defined"]]],
    ["${HOME}", [[0, 7, "BAD_EXPRESSION", "${HOME} is not an expression"]]],
    ["${}", [[0, 3, "BAD_EXPRESSION", "${} is not an expression"]]],
    ["a ${vars.a", [[2, 4, "BAD_EXPRESSION", "${ is never closed"]]],
    ["${vars.a:-d${vars.b}}!", [[0, 21, "BAD_EXPRESSION", "a default is plain text and cannot hold ${"]]],
    ["${vars.a:-${vars.b}", [[0, 19, "BAD_EXPRESSION", "a default is plain text and cannot hold ${"]]],
    [
      "${vars.x} ${y} ${vars.a}",
      [
        [0, 9, "UNDEFINED_NAME", "vars.x is not defined"],
        [10, 14, "BAD_EXPRESSION", "${y} is not an expression"],
      ],
    ],
  ])("of %j is at fault", (text, expected) => {
    const { faults } = interpolate(text, variables);
    expect(faults.map(({ start, end, code, message }) => [start, end, code, message])).toEqual(expected);
  });

  it("leaves no part of an expression behind that is at fault", () => {
    expect(interpolate("<${vars.a:-d${vars.b}}>", variables).text).toBe("<>");
  });

  it("says which values it put in, and whether the session's id is one", () => {
    const { values, usesSessionId } = interpolate("${vars.a} ${env.TOKEN} ${session.id}", {
      ...variables,
      sessionId: "s",
    });
    expect([values, usesSessionId]).toEqual([["one", "abc", "s"], true]);
    expect(interpolate("$${session.id}", variables).usesSessionId).toBe(false);
  });

  it.each([
    ["${session.id}", "s"],
    ["<${vars.a} ${session.id:-d}>", "<one s>"],
    ["${session.id-d}", "s"],
    ["${vars.of}${vars.of-d}${vars.of:-d}", "<s><s><s>"],
  ])("of %j waits for the session, and has no value before", (text, expected) => {
    const ofSession = new Set(["of"]);
    expect(interpolate(text, { ...variables, ofSession })).toEqual({
      text,
      faults: [],
      values: text.includes("vars.a") ? ["one"] : [],
      usesSessionId: true,
      variesBy: ["session.id"],
      isWaiting: true,
    });
    const known = { ...variables, ofSession, sessionId: "s", vars: { ...variables.vars, of: "<s>" } };
    expect(interpolate(text, known)).toMatchObject({ text: expected, usesSessionId: true, isWaiting: false });
  });

  it("leaves a text without ${ as it is", () => {
    const text = fc.string({ unit: "binary" }).map((any) => any.replaceAll("${", "{$"));
    const property = fc.property(text, (any) => {
      expect(interpolate(any, variables)).toMatchObject({ text: any, faults: [] });
    });
    expect(() => fc.assert(property, runs)).not.toThrow();
  });

  it("gives any text back whose ${ are written $${", () => {
    const part = fc.oneof(
      fc.constantFrom("$", "{", "}", "${", "$${", "${vars.a}"),
      fc.string({ unit: "binary", maxLength: 3 }),
    );
    const property = fc.property(fc.array(part), (parts) => {
      const text = parts.join("");
      expect(
        interpolate(
          text.replaceAll("${", () => "$${"),
          variables,
        ),
      ).toMatchObject({ text, faults: [], values: [] });
    });
    expect(() => fc.assert(property, runs)).not.toThrow();
  });

  it("makes no text without bound", () => {
    const large = { vars: { a: "x".repeat(1024 * 1024) }, env: {} };
    const { text, faults } = interpolate("${vars.a}".repeat(1000), large);
    expect(text.length).toBeLessThan(10 * 1024 * 1024);
    expect(faults.map(({ message }) => message)).toEqual([expect.stringContaining("is longer than")]);
  });
});

describe("a template", () => {
  it("is told of at its own line and column", () => {
    const template = { file: "app.tmpl", text: "one\r\n\ttwo ${vars.nope}\r\n${x", sensitive: false };
    expect(() => interpolateTemplate(template, variables)).toThrow(
      expect.objectContaining({
        problems: [
          expect.objectContaining({ file: "app.tmpl", line: 2, column: 6, length: 12, excerpt: "\ttwo ${vars.nope}" }),
          expect.objectContaining({ file: "app.tmpl", line: 3, column: 1, length: 2, excerpt: "${x" }),
        ],
      }),
    );
  });
});
