/** A wrong manifest: what is wrong with it, its text, and every problem as `line:column CODE message | hint`. */
export type WrongManifest = readonly [name: string, text: string, problems: readonly string[]];

export const wrongManifests: readonly WrongManifest[] = [
  [
    "a file without content",
    "version: 1\nroot: /tmp/w\nfiles:\n  - { path: a }\n",
    ["4:5 ORIGIN files[0] has none of content, source and url | add content: or source:"],
  ],
  [
    "content and source",
    "version: 1\nroot: /tmp/w\nfiles:\n  - { path: a, content: x, source: y }\n",
    ["4:5 ORIGIN files[0] has both content and source | keep exactly one of them"],
  ],
  [
    "root /",
    "version: 1\nroot: /\n",
    ['2:7 BAD_ROOT root "/" is the whole file system | choose a directory of your own, such as /tmp/workspace'],
  ],
  [
    "a system directory as root",
    "version: 1\nroot: /etc\n",
    ['2:7 BAD_ROOT root "/etc" is a system directory | choose a directory of your own, such as /tmp/workspace'],
  ],
  [
    "a relative root",
    "version: 1\nroot: workspace\n",
    ['2:7 BAD_ROOT root "workspace" is not absolute | choose a directory of your own, such as /tmp/workspace'],
  ],
  [
    "an empty root",
    'version: 1\nroot: ""\n',
    ['2:7 BAD_ROOT root "" is empty | choose a directory of your own, such as /tmp/workspace'],
  ],
  [
    "root with ..",
    "version: 1\nroot: /tmp/../etc\n",
    ['2:7 BAD_ROOT root "/tmp/../etc" contains ".." | choose a directory of your own, such as /tmp/workspace'],
  ],
  [
    "/tmp itself with prune: all",
    "version: 1\nroot: /tmp\nprune: all\n",
    [
      '2:7 BAD_ROOT root "/tmp" holds other people\'s files and cannot be pruned as a whole | choose a directory of your own, such as /tmp/workspace',
    ],
  ],
  [
    "a home directory with prune: all",
    "version: 1\nroot: /home/wuying\nprune: all\n",
    [
      '2:7 BAD_ROOT root "/home/wuying" holds other people\'s files and cannot be pruned as a whole | choose a directory of your own, such as /tmp/workspace',
    ],
  ],
  [
    "an absolute path",
    "version: 1\nroot: /tmp/w\nfiles:\n  - { path: /etc/passwd, content: x }\n",
    [
      '4:13 BAD_PATH path "/etc/passwd" is absolute; paths are relative to root | write a path below root, such as data/raw',
    ],
  ],
  [
    "a path with ..",
    "version: 1\nroot: /tmp/w\nfiles:\n  - { path: a/../../b, content: x }\n",
    ['4:13 BAD_PATH path "a/../../b" contains ".." and could leave root | write a path below root, such as data/raw'],
  ],
  [
    "an empty path",
    'version: 1\nroot: /tmp/w\nfiles:\n  - { path: "", content: x }\n',
    ["4:13 WRONG_VALUE files[0].path is empty | write a value, or leave the key out"],
  ],
  [
    "the state directory",
    "version: 1\nroot: /tmp/w\nfiles:\n  - { path: .agb-sync/base.json, content: x }\n",
    [
      '4:13 BAD_PATH path ".agb-sync/base.json" lies in .agb-sync/, which agb-sync keeps for itself | write a path below root, such as data/raw',
    ],
  ],
  [
    "a path with NUL",
    'version: 1\nroot: /tmp/w\nfiles:\n  - { path: "a\\0b", content: x }\n',
    ['4:13 BAD_PATH path "a\\u0000b" contains a NUL character | write a path below root, such as data/raw'],
  ],
  [
    "a name that is too long",
    `version: 1\nroot: /tmp/w\nfiles:\n  - { path: ${"n".repeat(256)}, content: x }\n`,
    [
      '4:13 BAD_PATH path "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn…nnnnnnnnnnnnnnnnnnnnnnnnnnnnnn" has a name longer than 255 bytes | write a path below root, such as data/raw',
    ],
  ],
  [
    "a path twice",
    "version: 1\nroot: /tmp/w\nfiles:\n  - { path: a, content: x }\n  - { path: ./a, content: y }\n",
    [
      '5:13 DUPLICATE_PATH "a" is declared twice, first at line 4 | remove one of the two, or give them different paths',
    ],
  ],
  [
    "a file and, before it, a directory at one path",
    "version: 1\nroot: /tmp/w\ndirectories: [{ path: a }]\nfiles: [{ path: a, content: x }]\n",
    [
      '4:17 DUPLICATE_PATH "a" is declared twice, first at line 3 | remove one of the two, or give them different paths',
    ],
  ],
  [
    "a file and, after it, a directory at one path",
    "version: 1\nroot: /tmp/w\nfiles: [{ path: a, content: x }]\ndirectories: [{ path: a }]\n",
    [
      '4:23 DUPLICATE_PATH "a" is declared twice, first at line 3 | remove one of the two, or give them different paths',
    ],
  ],
  [
    "two trees at paths that are none",
    "version: 1\nroot: /tmp/w\ntrees: [{ path: ../a, source: a }, { path: ../b, source: b }]\n",
    [
      '3:17 BAD_PATH path "../a" contains ".." and could leave root | write a path below root, such as data/raw',
      '3:44 BAD_PATH path "../b" contains ".." and could leave root | write a path below root, such as data/raw',
    ],
  ],
  [
    "paths that are ignored",
    `version: 1
root: /tmp/w
ignore: ["*.log", "!keep.log", "out/", "\${vars.nope}*"]
directories: [{ path: out }, { path: data }]
files:
  - { path: a.log, content: x }
  - { path: keep.log, content: x }
  - { path: out/b/c, content: x }
links: [{ path: l.log, target: a }, { path: data/out, target: x }]
`,
    [
      "3:41 UNDEFINED_NAME vars.nope is not defined | add nope to vars, or give a default: ${vars.nope:-...}",
      '4:23 PATH_CONFLICT "out" is declared, but "out/" in ignore (line 3) matches it | change the path or the pattern: what is ignored is never written',
      '6:13 PATH_CONFLICT "a.log" is declared, but "*.log" in ignore (line 3) matches it | change the path or the pattern: what is ignored is never written',
      '8:13 PATH_CONFLICT "out/b/c" is declared, but "out/" in ignore (line 3) matches it | change the path or the pattern: what is ignored is never written',
      '9:17 PATH_CONFLICT "l.log" is declared, but "*.log" in ignore (line 3) matches it | change the path or the pattern: what is ignored is never written',
    ],
  ],
  [
    "a file as a parent",
    "version: 1\nroot: /tmp/w\nfiles:\n  - { path: a, content: x }\n  - { path: a/b, content: y }\n",
    [
      '5:13 PATH_CONFLICT "a/b" lies below "a", which is a file (line 4) | a file or link cannot hold other entries; change one of the two paths',
    ],
  ],
  [
    "a mode that is not octal",
    'version: 1\nroot: /tmp/w\nfiles:\n  - { path: a, content: x, mode: "0999" }\n',
    ['4:34 BAD_MODE mode 0999 is not octal | write three or four octal digits in quotes, such as "0755"'],
  ],
  [
    "a mode in words",
    "version: 1\nroot: /tmp/w\nfiles:\n  - { path: a, content: x, mode: rwx }\n",
    ['4:34 BAD_MODE mode rwx is not octal | write three or four octal digits in quotes, such as "0755"'],
  ],
  [
    "an undefined variable",
    'version: 1\nroot: /tmp/w\nfiles:\n  - { path: a, content: "${vars.nope}" }\n',
    ["4:26 UNDEFINED_NAME vars.nope is not defined | add nope to vars, or give a default: ${vars.nope:-...}"],
  ],
  [
    "an undefined environment name",
    'version: 1\nroot: /tmp/w\nfiles:\n  - { path: a, content: "${env.NOPE_NOPE}" }\n',
    [
      "4:26 UNDEFINED_NAME env.NOPE_NOPE is not defined | set NOPE_NOPE in the environment or in .env, or give a default: ${env.NOPE_NOPE:-...}",
    ],
  ],
  [
    "an unknown name",
    'version: 1\nroot: /tmp/w\nfiles:\n  - { path: a, content: "${nope}" }\n',
    [
      "4:26 BAD_EXPRESSION ${nope} is not an expression | write ${vars.NAME}, ${env.NAME}, ${session.id}, ${vars.NAME:-default} or ${vars.NAME-default}; $${ is a literal ${",
    ],
  ],
  [
    "an expression without an end",
    'version: 1\nroot: /tmp/w\nfiles:\n  - { path: a, content: "${vars.x" }\n',
    ["4:26 BAD_EXPRESSION ${ is never closed | close it with }, or write $${ for a literal ${"],
  ],
  [
    "the same undefined variable twice",
    `version: 1\nroot: /tmp/w\nfiles:\n  - { path: a, content: "\${vars.x} \${vars.x}" }\n`,
    [
      "4:26 UNDEFINED_NAME vars.x is not defined | add x to vars, or give a default: ${vars.x:-...}",
      "4:36 UNDEFINED_NAME vars.x is not defined | add x to vars, or give a default: ${vars.x:-...}",
    ],
  ],
  [
    "a variable that uses itself",
    'version: 1\nroot: /tmp/w\nvars: { a: "${vars.a}" }\n',
    ["3:13 UNDEFINED_NAME vars.a is not defined | a variable may use the environment and the variables above it"],
  ],
  [
    "a variable that uses one below it",
    'version: 1\nroot: /tmp/w\nvars: { a: "x${vars.b}", b: "y${vars.a}" }\nfiles: [{ path: a, content: "${vars.a}" }]\n',
    ["3:14 UNDEFINED_NAME vars.b is not defined | a variable may use the environment and the variables above it"],
  ],
  [
    "a variable that uses what nobody defines",
    'version: 1\nroot: /tmp/w\nvars: { model: a, b: "${vars.modle} ${env.NOPE_NOPE" }\n',
    [
      "3:23 UNDEFINED_NAME vars.modle is not defined | did you mean ${vars.model}?",
      "3:37 BAD_EXPRESSION ${ is never closed | close it with }, or write $${ for a literal ${",
    ],
  ],
  [
    "an expression in a default",
    'version: 1\nroot: /tmp/w\nvars: { a: x }\nfiles: [{ path: a, content: "${vars.a:-d${vars.b}} ${env.TOKEN:-$${x}}" }]\n',
    [
      "4:30 BAD_EXPRESSION a default is plain text and cannot hold ${ | write the default out, or name it in vars",
      "4:52 BAD_EXPRESSION a default is plain text and cannot hold ${ | write the default out, or name it in vars",
    ],
  ],
  [
    "an absolute link target",
    "version: 1\nroot: /tmp/w\nlinks: [{ path: l, target: /etc }]\n",
    ['3:28 BAD_LINK link target "/etc" is absolute | write a target relative to the link, inside root'],
  ],
  [
    "a link out of root",
    "version: 1\nroot: /tmp/w\nlinks: [{ path: l, target: ../../etc }]\n",
    ['3:28 BAD_LINK link target "../../etc" leaves root | write a target relative to the link, inside root'],
  ],
  [
    "links to themselves",
    "version: 1\nroot: /tmp/w\nlinks: [{ path: l, target: l }, { path: a/b, target: ./../a/b/ }, { path: a/c, target: c/d }]\n",
    [
      '3:28 BAD_LINK link target "l" is the link itself | write a target relative to the link, inside root',
      '3:54 BAD_LINK link target "./../a/b/" is the link itself | write a target relative to the link, inside root',
      '3:88 BAD_LINK link target "c/d" leads in a circle through "a/c" | let one of these links point to something else',
    ],
  ],
  [
    "a move onto itself",
    "version: 1\nroot: /tmp/w\nmoves: [{ from: a, to: a }]\n",
    ['3:24 BAD_MOVE "a" is moved onto itself | remove the move'],
  ],
  [
    "a move into itself",
    "version: 1\nroot: /tmp/w\nmoves: [{ from: a, to: a/b }]\n",
    ['3:24 BAD_MOVE "a" cannot be moved into itself | move it somewhere else'],
  ],
  [
    "a path moved twice",
    "version: 1\nroot: /tmp/w\nmoves: [{ from: a, to: b }, { from: a, to: c }]\n",
    ['3:37 BAD_MOVE "a" is moved twice | keep one of the two moves'],
  ],
  [
    "two moves to one path",
    "version: 1\nroot: /tmp/w\nmoves: [{ from: a, to: c }, { from: b, to: c }]\n",
    ['3:44 BAD_MOVE two moves end at "c" | keep one of the two moves'],
  ],
  [
    "moves onto declared paths",
    `version: 1
root: /tmp/w
directories: [{ path: data }]
files: [{ path: f, content: x }]
trees: [{ path: app, source: app }]
links: [{ path: l, target: f }]
moves:
  - { from: a, to: data }
  - { from: b, to: f }
  - { from: c, to: app }
  - { from: d, to: ./l }
  - { from: e, to: f/below }
  - { from: g, to: app/below }
  - { from: h, to: data/below }
`,
    [
      '8:20 BAD_MOVE a move ends at "data", but line 3 declares a directory there | remove the move, or move it somewhere else: what is declared gets there anyway',
      '9:20 BAD_MOVE a move ends at "f", but line 4 declares a file there | remove the move, or move it somewhere else: what is declared gets there anyway',
      '10:20 BAD_MOVE a move ends at "app", but line 5 declares a tree there | remove the move, or move it somewhere else: what is declared gets there anyway',
      '11:20 BAD_MOVE a move ends at "l", but line 6 declares a link there | remove the move, or move it somewhere else: what is declared gets there anyway',
      '12:20 BAD_MOVE a move ends at "f/below" below "f", but line 4 declares a file there | remove the move, or move it somewhere else: what is declared gets there anyway',
    ],
  ],
  [
    "a declared path that is moved away",
    "version: 1\nroot: /tmp/w\nfiles: [{ path: a, content: x }]\nmoves: [{ from: a, to: b }]\n",
    ['4:17 BAD_MOVE "a" is moved away, but line 3 declares it | remove one of the two'],
  ],
  [
    "moves in a circle",
    `version: 1
root: /tmp/w
moves:
  - { from: a, to: b }
  - { from: b, to: a }
  - { from: c, to: d }
  - { from: e, to: c }
  - { from: d, to: e }
  - { from: p, to: q }
  - { from: q, to: r }
`,
    [
      '5:20 BAD_MOVE the moves lead back to "a" | leave one of them out: a move is done once, not again and again',
      '8:20 BAD_MOVE the moves lead back to "e" | leave one of them out: a move is done once, not again and again',
    ],
  ],
  [
    "absent and declared",
    "version: 1\nroot: /tmp/w\nfiles: [{ path: a, content: x }]\nabsent: [a]\n",
    ['4:10 PATH_CONFLICT "a" is to be absent, but line 3 declares "a" | remove one of the two'],
  ],
  [
    "a wrong prune rule",
    "version: 1\nroot: /tmp/w\nprune: some\n",
    ["3:8 WRONG_VALUE prune must be managed, all or none"],
  ],
  [
    "a wrong conflict rule",
    "version: 1\nroot: /tmp/w\nonConflict: ask\n",
    ["3:13 WRONG_VALUE onConflict must be skip, overwrite or keep"],
  ],
  [
    "a wrong duration",
    "version: 1\nroot: /tmp/w\nsession: { image: i, idleTimeout: soon }\n",
    ['3:35 BAD_DURATION "soon" is not a duration | write a number with its unit: 500ms, 90s, 5m or 1h'],
  ],
  [
    "an idle time that is longer than a session",
    "version: 1\nroot: /tmp/w\nsession: { idleTimeout: 31m }\n",
    ['3:25 BAD_DURATION "31m" is longer than any session lives | write at most 30m'],
  ],
  [
    "a digest that is none",
    'version: 1\nroot: /tmp/w\nfiles: [{ path: a, url: u, sha256: "12ab" }]\n',
    [
      "3:25 NOT_SUPPORTED_YET url is not supported yet | leave it out for now",
      "3:36 WRONG_VALUE sha256 must be 64 hex digits | write the digits that sha256sum prints",
    ],
  ],
  [
    "a url",
    'version: 1\nroot: /tmp/w\nfiles:\n  - { path: a, url: "https://example.org/a", sha256: "0000000000000000000000000000000000000000000000000000000000000000" }\n',
    ["4:21 NOT_SUPPORTED_YET url is not supported yet | leave it out for now"],
  ],
  [
    "pull",
    "version: 1\nroot: /tmp/w\npull: [{ path: ../a, to: b }]\n",
    ['3:16 BAD_PATH path "../a" contains ".." and could leave root | write a path below root, such as data/raw'],
  ],
];
