import type { WrongManifest } from "./wrong-manifests.ts";

const head = "version: 1\nroot: /tmp/w\n";
const nines = (level: number) => Array.from({ length: 9 }, () => `*a${level}`).join(", ");
const bomb = ["  - &a0 x", ...Array.from({ length: 9 }, (_, level) => `  - &a${level + 1} [${nines(level)}]`)].join(
  "\n",
);

/** What YAML itself makes of a text, and what a manifest does not take from it. */
export const wrongYaml: readonly WrongManifest[] = [
  ["nothing at all", "", ["1:1 YAML_SYNTAX the manifest is empty | start one with: agb-sync init"]],
  ["a list", "- a\n", ["1:1 WRONG_TYPE the manifest is not a mapping | start with: version: 1"]],
  ["a text", "hello\n", ["1:1 WRONG_TYPE the manifest is not a mapping | start with: version: 1"]],
  [
    "a tab for indentation",
    "version: 1\nfiles:\n\t- path: a\n",
    ["3:1 YAML_SYNTAX tabs are not allowed as indentation | indent with spaces"],
  ],
  [
    "a key twice, and another mistake",
    "version: 1\nversion: 1\nroot: /\n",
    [
      "2:1 YAML_SYNTAX map keys must be unique | keep one of the two",
      '3:7 BAD_ROOT root "/" is the whole file system | choose a directory of your own, such as /tmp/workspace',
    ],
  ],
  [
    "two documents",
    `${head}---\nversion: 1\n`,
    ["3:1 YAML_SYNTAX the manifest has more than one document | keep one, without ---"],
  ],
  [
    "a bracket that is not closed",
    "version: 1\nroot: [\n",
    ["2:7 YAML_SYNTAX this [ is never closed | close it with ]"],
  ],
  [
    "a bracket that is not closed before the next key",
    `${head}files: [{ path: a, content: x }\nlinks: []\n`,
    ["3:8 YAML_SYNTAX this [ is never closed | close it with ]"],
  ],
  [
    "a brace in a bracket, neither closed",
    `${head}files: [{ path: a\n`,
    [
      "3:8 YAML_SYNTAX this [ is never closed | close it with ]",
      "3:9 YAML_SYNTAX this { is never closed | close it with }",
    ],
  ],
  [
    "a quote that is not closed",
    `${head}files:\n  - path: "abc\n    content: x\n`,
    ['4:11 YAML_SYNTAX this " is never closed | close it with "'],
  ],
  [
    "a quote in a bracket, neither closed",
    `${head}ignore: ['abc\n`,
    ["3:10 YAML_SYNTAX this ' is never closed | close it with '"],
  ],
  [
    "a colon in a value",
    `${head}files:\n  - path: a: b\n    content: x\n`,
    ["4:11 YAML_SYNTAX nested mappings are not allowed in compact mappings | put it in quotes"],
  ],
  [
    "a key that is indented too far",
    `${head}files:\n  - path: a\n     content: x\n`,
    [
      "4:11 YAML_SYNTAX implicit keys need to be on a single line | indent the next line like the line of the key above it",
    ],
  ],
  [
    "a value that begins with @",
    `${head}files:\n  - path: @x\n    content: x\n`,
    ["4:11 YAML_SYNTAX plain value cannot start with reserved character @ | put it in quotes"],
  ],
  [
    "a value that begins with a backtick",
    `${head}files:\n  - path: \`x\`\n    content: x\n`,
    ["4:11 YAML_SYNTAX plain value cannot start with reserved character ` | put it in quotes"],
  ],
  [
    "text behind a quoted value",
    `${head}files:\n  - path: "a" b\n    content: x\n`,
    ["4:15 YAML_SYNTAX unexpected scalar at node end | remove it, or put the whole value in quotes"],
  ],
  [
    "an unknown escape",
    `${head}files: [{ path: "\\q", content: x }]\n`,
    ["3:18 YAML_SYNTAX invalid escape sequence \\q | write \\\\ for a backslash, or use single quotes"],
  ],
  [
    "an unknown tag",
    `${head}files: [{ path: !foo a, content: x }]\n`,
    ["3:17 YAML_SYNTAX unresolved tag: !foo | write the value without a tag; put it in quotes if it begins with !"],
  ],
  [
    "a binary value",
    `${head}files: [{ path: !!binary aGk=, content: x }]\n`,
    ["3:17 YAML_SYNTAX the tag !!binary is not supported | write the value as plain text, without a tag"],
  ],
  [
    "an alias for nothing",
    `${head}files: [{ path: *nope, content: x }]\n`,
    ["3:17 YAML_SYNTAX there is no &nope above this *nope | put it in quotes if it is no alias"],
  ],
  [
    "a pattern that is read as an alias",
    `${head}ignore: [*.log]\n`,
    ["3:10 YAML_SYNTAX there is no &.log above this *.log | put it in quotes if it is no alias"],
  ],
  [
    "an alias in its own anchor",
    `${head}files: &a [*a]\n`,
    ["3:12 YAML_SYNTAX *a stands in &a itself | write the value out"],
  ],
  [
    "an alias bomb",
    `${head}ignore:\n${bomb}`,
    ["10:10 YAML_SYNTAX the aliases stand for more than 100000 values | write the values out"],
  ],
  [
    "a list as a key",
    `${head}files:\n  - ? [a, b]\n    : x\n    path: a\n    content: y\n`,
    ["4:7 YAML_SYNTAX a key must be plain text | write one word and a colon, such as `path:`"],
  ],
  ["no key", `${head}: x\n`, ["3:1 YAML_SYNTAX a key is missing before the colon | write `key: value`"]],
  [
    "brackets in brackets in brackets",
    `${head}files: ${"[".repeat(3000)}`,
    ["3:39 YAML_SYNTAX the manifest is nested deeper than 32 levels | flatten it"],
  ],
  [
    "brackets in brackets in brackets, all closed",
    `${head}files: ${"[".repeat(3000)}${"]".repeat(3000)}\n`,
    ["3:39 YAML_SYNTAX the manifest is nested deeper than 32 levels | flatten it"],
  ],
];
