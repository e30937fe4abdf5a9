import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { interpolateTemplate } from "../../src/manifest/interpolate.ts";
import { ManifestError } from "../../src/manifest/manifest-error.ts";
import { errorOf, problemsOf } from "./problems-of.ts";

const head = "version: 1\nroot: /tmp/w\n";

/** A mistake beside or in something sensitive: its place and message stay, `SECRET` and the line are not shown. */
const beside: readonly (readonly [name: string, text: string, problems: readonly RegExp[]])[] = [
  [
    "an undefined name in the content",
    "files:\n  - { path: a, content: 'SECRET ${vars.nope}', sensitive: true }\n",
    [/^4:33 UNDEFINED_NAME vars\.nope is not defined \| add nope to vars/],
  ],
  [
    "no expression in the content",
    "files:\n  - { path: a, content: 'x${SECRET}', sensitive: true }\n",
    [/^4:27 BAD_EXPRESSION this is not an expression \| /],
  ],
  [
    "a path before the content",
    "files: [{ path: ../a, content: SECRET, sensitive: true }]\n",
    [/^3:17 BAD_PATH path "\.\.\/a" contains/],
  ],
  [
    "a misspelt key: sensitve",
    "files: [{ path: a, content: SECRET, sensitve: true }]\n",
    [/^3:37 UNKNOWN_KEY unknown key `sensitve` in files\[0\] \| did you mean `sensitive`/],
  ],
  [
    "a misspelt key: Sensitiv",
    "files: [{ path: ../a, content: SECRET, Sensitiv: true }]\n",
    [/^3:17 BAD_PATH/, /^3:40 UNKNOWN_KEY unknown key `Sensitiv`/],
  ],
  [
    "a misspelt content",
    "files: [{ path: a, contnet: SECRET, sensitive: true }]\n",
    [/^3:20 UNKNOWN_KEY unknown key `contnet`/],
  ],
  [
    "a number as content",
    "files: [{ path: a, content: 5318008, sensitive: true }]\n",
    [/^3:29 WRONG_TYPE files\[0\]\.content must be a string, not a number \| put it in quotes$/],
  ],
  [
    "a comma in a plain content",
    "files: [{ path: a, content: b, SECRET, sensitive: true }]\n",
    [/^3:32 UNKNOWN_KEY unknown key in files\[0\] \| known here/],
  ],
  [
    "a content that makes a comment of the rest",
    "files:\n  - { path: ../a, content: } #SECRET, sensitive: true }\n",
    [/^4:13 BAD_PATH/, /^4:28 WRONG_TYPE files\[0\]\.content/],
  ],
  [
    "a sensitive that is no truth value",
    'files: [{ path: a, content: SECRET, sensitive: "yes" }]\n',
    [/^3:48 WRONG_TYPE files\[0\]\.sensitive must be a boolean/],
  ],
  [
    "another entry on the line",
    "files: [{ path: ../x, content: y }, { path: a, content: SECRET, sensitive: true }]\n",
    [/^3:17 BAD_PATH/],
  ],
  [
    "a block of text",
    "files:\n  - path: a\n    sensitive: true\n    content: |\n      one\n      SECRET ${vars.nope}\n",
    [/^8:14 UNDEFINED_NAME/],
  ],
  [
    "an alias for the content",
    "vars: { a: &a SECRET, b: '${vars.nope}' }\nfiles: [{ path: ../a, content: *a, sensitive: true }]\n",
    [/^3:27 UNDEFINED_NAME/, /^4:17 BAD_PATH/],
  ],
  [
    "a variable that goes into it",
    "vars: { a: SECRET, b: '${vars.a}', c: '${vars.nope}' }\nfiles: [{ path: a, content: '${vars.b}', sensitive: true }]\n",
    [/^3:40 UNDEFINED_NAME/],
  ],
  [
    "a variable of a misspelt section",
    "var: { a: SECRET }\nfiles: [{ path: a, content: '${vars.a}', sensitive: true }]\n",
    [/^3:1 UNKNOWN_KEY unknown key `var`/],
  ],
  [
    "a content that is there twice",
    "files:\n  - path: a\n    content: SECRET\n    content: SECRET\n    sensitive: true\n",
    [/^6:5 YAML_SYNTAX map keys must be unique/],
  ],
  [
    "a section that is there twice",
    "files: []\nfiles: [{ path: a, content: SECRET, sensitive: true }]\n",
    [/^4:1 YAML_SYNTAX map keys must be unique/],
  ],
  [
    "a sensitive that is there twice",
    "files:\n  - { path: ../a, content: SECRET, sensitive: false, sensitive: true }\n",
    [/^4:13 BAD_PATH/, /^4:54 YAML_SYNTAX map keys must be unique/],
  ],
  [
    "a content that is a key",
    "files:\n  - path: a\n    sensitive: true\n    ? [SECRET]\n    : SECRET\n",
    [/^6:7 YAML_SYNTAX a key must be plain text/],
  ],
  [
    "a key that is an alias",
    "files: [{ path: a, sensitive: true, content: x, *SECRET : y }]\n",
    [/^3:49 YAML_SYNTAX a key must be plain text/],
  ],
  [
    "an alias that is none",
    "files: [{ path: a, content: *SECRET, sensitive: true }]\n",
    [/^3:29 YAML_SYNTAX there is no anchor/],
  ],
  [
    "a quote that is not closed",
    'files:\n  - path: a\n    sensitive: true\n    content: "SECRET\n',
    [/^6:14 YAML_SYNTAX this " is never closed/],
  ],
  [
    "text behind the content",
    'files:\n  - path: a\n    sensitive: true\n    content: "x" SECRET\n',
    [/^6:18 YAML_SYNTAX unexpected text/],
  ],
  [
    "an escape that is not known",
    'files: [{ path: a, content: "\\USECRET", sensitive: true }]\n',
    [/^3:30 YAML_SYNTAX invalid escape sequence \|/],
  ],
  ["a tag", "files: [{ path: a, content: !SECRET x, sensitive: true }]\n", [/^3:29 YAML_SYNTAX unresolved tag \|/]],
  [
    "text behind the header of a block",
    "files:\n  - path: a\n    content: |SECRET\n      x\n    sensitive: true\n",
    [/^5:\d+ YAML_SYNTAX unexpected text/],
  ],
  [
    "broken YAML with a misspelt key",
    "files:\n  - path: a\n    senstive: true\n    content: @SECRET\n",
    [/^6:14 YAML_SYNTAX a plain value cannot start with this character \| put it in quotes/],
  ],
  [
    "broken YAML somewhere else",
    "files:\n  - { path: a, content: SECRET, sensitive: true, x: }\n  - [\n",
    [/^5:5 YAML_SYNTAX this \[ is never closed/],
  ],
];

describe("what is sensitive", () => {
  it.each(beside)("is not in the message for %s", (_name, text, problems) => {
    const found = problemsOf(head + text);
    expect(found).toEqual(problems.map((problem) => expect.stringMatching(problem)));
    const { message, problems: told } = errorOf(head + text) ?? {};
    expect(message + JSON.stringify(told)).not.toMatch(/SECRET|5318008/);
  });

  it("is in no message for a template", () => {
    const variables = { vars: {}, env: {} };
    const text = "one\r\n  SECRET ${vars.nope} ${SECRET}\r\n";
    const interpolated = (sensitive: boolean) => () => interpolateTemplate({ file: "t", text, sensitive }, variables);
    expect(interpolated(true)).toThrow(
      /^t:2:10: vars\.nope is not defined .*\n.*\nt:2:23: this is not an expression .*\n.*$/,
    );
    expect(interpolated(true)).not.toThrow(/SECRET/);
    expect(interpolated(false)).toThrow(/^ {6}SECRET \$\{vars\.nope\} \$\{SECRET\}$/m);
  });

  it("never shows, whatever else is wrong", () => {
    const marker = "S3CR3TQ";
    const content = fc
      .array(fc.constantFrom(marker, "${", "}", "${vars.x}", "$", "\n", " ", ":", "#", '"', "\\", "*"), {
        maxLength: 8,
      })
      .map((parts) => parts.join(""));
    const key = fc.constantFrom("sensitive", "sensitve", "senstive", "Sensitive", "sensitives");
    const written = fc.oneof(
      content.map((text) => JSON.stringify(text)),
      content.map((text) => text.replaceAll("\n", "")),
    );
    const path = fc.constantFrom("a", "../a", "5", "*x", "");
    const property = fc.property(written, key, path, fc.boolean(), (text, sensitive, path, isBlock) => {
      const entry = isBlock
        ? `  - path: ${path}\n    content: ${text}\n    ${sensitive}: true\n    more: 1\n`
        : `  - { path: ${path}, content: ${text}, ${sensitive}: true, more: 1 }\n`;
      expect(errorOf(`${head}files:\n${entry}`)?.message ?? "").not.toContain(marker);
    });
    expect(() => fc.assert(property, { numRuns: Number(process.env["FUZZ_RUNS"] ?? 300) })).not.toThrow();
  });
});

describe("what is not sensitive", () => {
  it.each([
    ["an entry that says so", "files: [{ path: ../a, content: shown, sensitive: false }]\n"],
    ["the next entry", "files:\n  - { path: a, content: x, sensitive: true }\n  - { path: ../a, content: shown }\n"],
    [
      "the line after a block",
      "files:\n  - path: a\n    sensitive: true\n    content: |\n      x\n    mode: 9 # shown\n",
    ],
  ])("is shown: %s", (_name, text) => {
    expect(errorOf(head + text)).toBeInstanceOf(ManifestError);
    expect(errorOf(head + text)?.message).toContain("shown");
  });
});
