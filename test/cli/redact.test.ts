import { describe, expect, it } from "vitest";
import { Redactor } from "../../src/cli/redact.ts";
import { printable } from "../../src/tree/printable.ts";

const MARK = "(redacted)";
const key = "-----BEGIN KEY-----\n  MIIEvQIBADANBg\r\nkqhkiG9w0BAQEF\n-----END KEY-----\n";

function redactor(...secrets: readonly string[]): Redactor {
  const made = new Redactor();
  made.add(secrets);
  return made;
}

describe("a secret in a text (S35)", () => {
  it.each<[string, string, string, string]>([
    ["as it is", "s3cr3t-value", "x s3cr3t-value y", `x ${MARK} y`],
    ["more than once", "s3cr3t-value", "s3cr3t-values3cr3t-value", `${MARK}${MARK}`],
    ["with blanks around it in the manifest", "  s3cr3t-value\n", "x=s3cr3t-value", `x=${MARK}`],
    ["of several lines, as it is", key, `a\n${key.trim()}\nb`, `a\n${MARK}\nb`],
    ["one of its lines alone", key, "at MIIEvQIBADANBg:", `at ${MARK}:`],
    ["the last of its lines, that ended with a carriage return", key, "at kqhkiG9w0BAQEF:", `at ${MARK}:`],
    ["as JSON writes it", 'a"b\\c\td', JSON.stringify('a"b\\c\td'), `"${MARK}"`],
    ["as a terminal is shown it", "pass\u202eword", printable("pass\u202eword"), MARK],
    ["that is part of a longer one", "s3cr3t-value-long", "s3cr3t-value-long", MARK],
  ])("%s is not shown", (_what, secret, text, clean) => {
    expect(redactor("s3cr3t-value", secret).clean(text)).toBe(clean);
  });

  it("is replaced in what was said before, when more become known", () => {
    const made = redactor("first-one");
    made.add(["second-one"]);
    expect(made.clean("first-one second-one")).toBe(`${MARK} ${MARK}`);
  });

  it.each<[string, string]>([
    ["pin=42,", `pin=${MARK},`],
    ["42", MARK],
    ["142 420 x42 42x _42", "142 420 x42 42x _42"],
    ["é42 42é", "é42 42é"],
    ["(42)", `(${MARK})`],
  ])("that is short is replaced as a word only, in what others wrote: %j", (text, clean) => {
    const made = redactor("42", "a.*");
    expect(made.cleanForeign(text)).toBe(clean);
    expect(made.clean(text)).toBe(text);
  });

  it("that looks like a pattern is none", () => {
    expect(redactor("a.*").cleanForeign("abc a.* abc")).toBe(`abc ${MARK} abc`);
    expect(redactor("$&$1").cleanForeign("x $&$1 y")).toBe(`x ${MARK} y`);
  });
});

describe("a secret in data (S35)", () => {
  it("is replaced inside texts, however deep; keys, numbers and our own words stay", () => {
    const data = {
      type: "apply",
      level: "error",
      path: "apply/applied",
      applied: 1,
      list: ["x apply y", { text: "did apply", none: null, yes: true }],
    };
    expect(redactor("apply").cleanData(data)).toEqual({
      type: "apply",
      level: "error",
      path: `${MARK}/applied`,
      applied: 1,
      list: [`x ${MARK} y`, { text: `did ${MARK}`, none: null, yes: true }],
    });
  });

  it("that is short is replaced where it is the whole value, or a word of a sentence", () => {
    expect(redactor("1").cleanData({ value: "1", path: "a1", message: "1 of 1", text: "x1", code: "1" })).toEqual({
      value: MARK,
      path: "a1",
      message: `${MARK} of ${MARK}`,
      text: "x1",
      code: "1",
    });
  });

  it("changes nothing where there is none", () => {
    const data = { a: ["b"] };
    expect(new Redactor().cleanData(data)).toBe(data);
  });
});
