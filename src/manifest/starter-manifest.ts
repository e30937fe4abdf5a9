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

/** A commented manifest that applies as it is: what `init` writes. */
export const starterManifest = `# The workspace of an AGB session. Apply it with: agb-sync apply (or, without a key: agb-sync apply --local)
version: 1

session:
  image: agb-code-space-1        # used when a session has to be created
  name: my-workspace             # a live session of this name is used again

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

/** A manifest that mirrors one local directory into the root. Whatever its name is, it is read back as it is. */
export function manifestFor(directory: string): string {
  const written = JSON.stringify(directory).replaceAll("${", () => "$${");
  return `# Mirrors ${JSON.stringify(directory)} into an AGB session. Apply it with: agb-sync apply
version: 1
root: /tmp/workspace
${ignore}trees:
  - source: ${written}
    path: .
    gitignore: true
`;
}
