/** What hardly anybody wants in a session: state of tools, and what holds secrets. gitignore syntax. */
const ignore = `ignore:                          # gitignore syntax: never sent, and left alone in the session
  - .git/
  - .agb-sync/
  - node_modules/
  - /agb-sync.yaml               # this manifest
  - .env                         # what holds secrets
  - .env.*
  - "!.env.example"
  - .envrc
  - "*.pem"
  - "*.key"
  - "*.p12"
  - "*.pfx"
  - "*.jks"
  - "*.keystore"
  - "*.kdbx"
  - id_rsa
  - id_dsa
  - id_ecdsa
  - id_ed25519
  - .ssh/
  - .aws/
  - .gnupg/
  - .netrc
  - .pypirc
  - .git-credentials
`;

const SCHEMA = "manifest.schema.json";
const NAME = "my-workspace";

/** A name for the sessions of a project, from that of its directory: what every shell, label and YAML takes as it is. */
export function sessionNameFor(directory: string): string {
  const name = directory
    .normalize("NFKD")
    .replaceAll(/\p{M}+/gu, "")
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replaceAll(/^-+|-+$/g, "")
    .slice(0, 40);
  // YAML would read digits, and a few words, as something else than text.
  return /^[a-z]/.test(name) && !/^(?:true|false|null|yes|no|on|off|y|n)$/.test(name)
    ? name
    : `workspace-${name}`.replace(/-$/, "");
}

/** A commented manifest that applies as it is. Its first line leads editors to what completes and explains it. */
export const starterManifest = `# yaml-language-server: $schema=${SCHEMA}
version: 1                       # apply with: agb-sync apply (without a key: agb-sync apply --local)

session:
  image: agb-code-space-1        # used when a session has to be created
  name: ${NAME}             # a live session of this name is used again

root: /tmp/workspace             # every path below is relative to it
vars: { greeting: Hello }
# prune: managed                 # managed: delete what agb-sync wrote itself | all | none
# onConflict: skip               # skip | overwrite (after a backup) | keep
${ignore}
directories:
  - path: data

files:
  - path: hello.txt
    content: "\${vars.greeting} from agb-sync\\n"
  # - path: bin/run.sh
  #   source: scripts/run.sh     # a local file, relative to this manifest
  #   mode: "0755"

# trees:
#   - source: app                # a local directory, mirrored
#     path: app
#     gitignore: true
`;

/** The same for a project: the name of its session, and where its schema is (a path or URL without blanks). */
export function starterFor(name: string, schema: string): string {
  return starterManifest
    .replace(SCHEMA, () => schema)
    .replace(`${NAME}             #`, () => `${name} `.padEnd(NAME.length + 13) + "#");
}

/** A manifest that mirrors one local directory into the root. Whatever its name is, it is read back as it is. */
export function manifestFor(directory: string, name = NAME, schema = SCHEMA): string {
  const written = JSON.stringify(directory).replaceAll("${", () => "$${");
  return `# yaml-language-server: $schema=${schema}
# Mirrors ${JSON.stringify(directory)} into an AGB session. Apply it with: agb-sync apply
version: 1
session:
  name: ${name}
root: /tmp/workspace
${ignore}trees:
  - source: ${written}
    path: .
    gitignore: true
`;
}
