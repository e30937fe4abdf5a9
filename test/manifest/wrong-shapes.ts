import type { WrongManifest } from "./wrong-manifests.ts";

/** What the schema does not allow; with it, everything else that is wrong with the manifest is told. */
export const wrongShapes: readonly WrongManifest[] = [
  ["no version", "root: /tmp/w\n", ["1:1 MISSING_KEY the manifest has no `version` | add it"]],
  ["no root", "version: 1\n", ["1:1 MISSING_KEY the manifest has no `root` | add it"]],
  ["another version", "version: 2\nroot: /tmp/w\n", ["1:10 WRONG_VALUE version must be 1 | write version: 1"]],
  [
    "an unknown key",
    "version: 1\nroot: /tmp/w\nflies: []\n",
    ["3:1 UNKNOWN_KEY unknown key `flies` | did you mean `files`?"],
  ],
  [
    "a misspelt key in a file",
    "version: 1\nroot: /tmp/w\nfiles:\n  - { path: a, sorce: b }\n",
    ["4:16 UNKNOWN_KEY unknown key `sorce` in files[0] | did you mean `source`?"],
  ],
  [
    "a number as content",
    "version: 1\nroot: /tmp/w\nfiles:\n  - { path: a, content: 5 }\n",
    ['4:25 WRONG_TYPE files[0].content must be a string, not a number | put it in quotes: "5"'],
  ],
  [
    "files as a mapping",
    "version: 1\nroot: /tmp/w\nfiles: { a: b }\n",
    ['3:8 WRONG_TYPE files must be a list, not a mapping | write a list: each entry on a line that begins with "- "'],
  ],
  [
    "two problems of different kinds",
    "version: 1\nroot: /\nfiles:\n  - { path: ../x, content: a, sorce: b }\n",
    [
      '2:7 BAD_ROOT root "/" is the whole file system | choose a directory of your own, such as /tmp/workspace',
      '4:13 BAD_PATH path "../x" contains ".." and could leave root | write a path below root, such as data/raw',
      "4:31 UNKNOWN_KEY unknown key `sorce` in files[0] | did you mean `source`?",
    ],
  ],
  ["a version in quotes", 'version: "1"\nroot: /tmp/w\n', ["1:10 WRONG_VALUE version must be 1 | write version: 1"]],
  [
    "a misspelt key at the top and all that is wrong elsewhere",
    `version: 1
rooot: /etc
var: { a: x }
sesion: { idleTimeot: soon }
files:
  - { path: ../x, contnet: "\${vars.a}", mod: 9 }
  - { path: y, content: "\${vars.b}" }
run: [{ comand: ls, timeout: never }]
links: [{ path: l, target: /etc, more: 1 }]
`,
    [
      "2:1 UNKNOWN_KEY unknown key `rooot` | did you mean `root`?",
      '2:8 BAD_ROOT root "/etc" is a system directory | choose a directory of your own, such as /tmp/workspace',
      "3:1 UNKNOWN_KEY unknown key `var` | did you mean `vars`?",
      "4:1 UNKNOWN_KEY unknown key `sesion` | did you mean `session`?",
      "4:11 UNKNOWN_KEY unknown key `idleTimeot` in session | did you mean `idleTimeout`?",
      '4:23 BAD_DURATION "soon" is not a duration | write a number with its unit: 500ms, 90s, 5m or 1h',
      '6:13 BAD_PATH path "../x" contains ".." and could leave root | write a path below root, such as data/raw',
      "6:19 UNKNOWN_KEY unknown key `contnet` in files[0] | did you mean `content`?",
      "6:41 UNKNOWN_KEY unknown key `mod` in files[0] | did you mean `mode`?",
      '6:46 BAD_MODE mode 9 is not octal | write three or four octal digits in quotes, such as "0755"',
      "7:26 UNDEFINED_NAME vars.b is not defined | did you mean ${vars.a}?",
      "8:9 UNKNOWN_KEY unknown key `comand` in run[0] | did you mean `command`?",
      '8:30 BAD_DURATION "never" is not a duration | write a number with its unit: 500ms, 90s, 5m or 1h',
      '9:28 BAD_LINK link target "/etc" is absolute | write a target relative to the link, inside root',
      "9:34 UNKNOWN_KEY unknown key `more` in links[0] | known here: path, target",
    ],
  ],
  [
    "wrong types, and all that is wrong elsewhere",
    `version: two
root: [/tmp/w]
session: image
vars: { a: [1], b: x }
prune: [all]
ignore: [5, "*.log"]
directories: [data, { path: raw, mode: [7] }]
files:
  - 5
  - { path: 5, content: x, mode: rwx }
  - { content: x, mode: rwx }
  - { path: a, content: [x] }
  - { path: a/b, source: {}, sensitive: "yes" }
  - { path: c, url: u, sha256: 1 }
  - { path: d, text: x, "5": y }
links: [{ path: [], target: ../../x }, { target: /x }]
moves: [{ from: a }, { from: q, to: q }]
absent: [5, a]
`,
    [
      "1:10 WRONG_VALUE version must be 1 | write version: 1",
      "2:7 WRONG_TYPE root must be a string, not a list | write a single value",
      "3:10 WRONG_TYPE session must be a mapping, not a string | write a mapping, such as { image: ... }",
      "4:12 WRONG_TYPE vars.a must be a string or number or boolean, not a list | write a single value",
      "5:8 WRONG_VALUE prune must be managed, all or none | did you mean all?",
      '6:10 WRONG_TYPE ignore[0] must be a string, not a number | put it in quotes: "5"',
      "7:15 WRONG_TYPE directories[0] must be a mapping, not a string | write a mapping, such as { path: ... }",
      '7:40 WRONG_TYPE directories[1].mode must be a string, not a list | write three or four octal digits in quotes, such as "0755"',
      "9:5 WRONG_TYPE files[0] must be a mapping, not a number | write a mapping, such as { path: ... }",
      '10:13 WRONG_TYPE files[1].path must be a string, not a number | put it in quotes: "5"',
      '10:34 BAD_MODE mode rwx is not octal | write three or four octal digits in quotes, such as "0755"',
      "11:5 MISSING_KEY files[2] has no `path` | add it",
      '11:25 BAD_MODE mode rwx is not octal | write three or four octal digits in quotes, such as "0755"',
      "12:25 WRONG_TYPE files[3].content must be a string, not a list | write a single value",
      '13:13 PATH_CONFLICT "a/b" lies below "a", which is a file (line 12) | a file or link cannot hold other entries; change one of the two paths',
      "13:26 WRONG_TYPE files[4].source must be a string, not a mapping | write a single value",
      "13:41 WRONG_TYPE files[4].sensitive must be a boolean, not a string | write true or false",
      "14:21 NOT_SUPPORTED_YET url is not supported yet | leave it out for now",
      '14:32 WRONG_TYPE files[5].sha256 must be a string, not a number | put it in quotes: "1"',
      "15:16 UNKNOWN_KEY unknown key `text` in files[6] | known here: path, content, source, template, mode, sensitive, ifPresent, onConflict",
      "15:25 UNKNOWN_KEY unknown key `5` in files[6] | known here: path, content, source, template, mode, sensitive, ifPresent, onConflict",
      "16:17 WRONG_TYPE links[0].path must be a string, not a list | write a single value",
      "16:40 MISSING_KEY links[1] has no `path` | add it",
      "17:9 MISSING_KEY moves[0] has no `to` | add it",
      '17:37 BAD_MOVE "q" is moved onto itself | remove the move',
      '18:10 WRONG_TYPE absent[0] must be a string, not a number | put it in quotes: "5"',
      '18:13 PATH_CONFLICT "a" is to be absent, but line 12 declares "a" | remove one of the two',
    ],
  ],
  [
    "a merge key",
    "version: 1\nroot: /tmp/w\nfiles:\n  - &f { path: a, content: x }\n  - { <<: *f, path: b, mode: x }\n",
    [
      "5:7 UNKNOWN_KEY merge keys (<<) are not supported | write the keys out",
      '5:30 BAD_MODE mode x is not octal | write three or four octal digits in quotes, such as "0755"',
    ],
  ],
  [
    "a duration without a unit",
    "version: 1\nroot: /tmp/w\nrun: [{ command: ls, timeout: 5 }]\n",
    ['3:31 WRONG_TYPE run[0].timeout must be a string, not a number | write it with its unit: "5m" or "5s"'],
  ],
  [
    "a value that is missing",
    "version: 1\nroot: /tmp/w\nfiles:\n  - path:\n    content: x\n",
    ["4:10 WRONG_TYPE files[0].path must be a string, not nothing | write a value, or leave the key out"],
  ],
  [
    "a path, a root and a duration that are not known",
    "version: 1\nroot: ${vars.x}\nfiles: [{ path: 'a/${vars.x}', content: x }, { path: a, content: x }]\nrun: [{ command: ls, timeout: '${vars.x}' }]\n",
    [
      "2:7 UNDEFINED_NAME vars.x is not defined | add x to vars, or give a default: ${vars.x:-...}",
      "3:20 UNDEFINED_NAME vars.x is not defined | add x to vars, or give a default: ${vars.x:-...}",
      "4:32 UNDEFINED_NAME vars.x is not defined | add x to vars, or give a default: ${vars.x:-...}",
    ],
  ],
];
