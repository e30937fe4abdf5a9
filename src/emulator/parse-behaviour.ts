import { UsageError } from "../errors.ts";
import { parseDuration } from "../manifest/duration.ts";
import { suggest } from "../manifest/suggest.ts";
import type { EmulatorOptions, Verdicts } from "./session/emulator-options.ts";

/** Reads one value; undefined when it is none. */
type Reader = (value: string) => Partial<EmulatorOptions> | undefined;
type Behaviour = { readonly values: string; readonly read: Reader };

function oneOf<Value extends string>(
  values: readonly Value[],
  use: (value: Value) => Partial<EmulatorOptions>,
): Behaviour {
  const read: Reader = (text) => {
    const value = values.find((known) => known === text);
    return value === undefined ? undefined : use(value);
  };
  return { values: values.join(", "), read };
}

function verdict<Name extends keyof Verdicts>(name: Name, values: readonly (Verdicts[Name] & string)[]): Behaviour {
  return oneOf(values, (value) => ({ verdicts: { [name]: value } }));
}

function count(use: (value: number) => Partial<EmulatorOptions>): Behaviour {
  return { values: "a number", read: (text) => (/^\d{1,12}$/.test(text) ? use(Number(text)) : undefined) };
}

function time(use: (milliseconds: number) => Partial<EmulatorOptions>): Behaviour {
  const read: Reader = (text) => {
    const milliseconds = parseDuration(text);
    return milliseconds === undefined ? undefined : use(milliseconds);
  };
  return { values: "a time such as 2s", read };
}

/** What can be chosen by `--behave NAME=VALUE`: the verdicts that nobody knows (protocol §12, §14), and limits. */
export const behaviours: Readonly<Record<string, Behaviour>> = {
  "create-existing-directory": verdict("createExistingDirectory", ["succeed", "fail"]),
  "move-onto-existing": verdict("moveOntoExisting", ["fail", "replace"]),
  "delete-missing": verdict("deleteMissing", ["fail", "succeed"]),
  "missing-parent": verdict("missingParent", ["fail", "create"]),
  "link-tag": verdict("linkTag", ["file", "follow"]),
  "link-info": verdict("linkInfo", ["target", "link"]),
  "edit-without-match": verdict("editWithoutMatch", ["fail", "succeed"]),
  umask: {
    values: "octal, such as 027",
    read: (text) => (/^0?[0-7]{3}$/.test(text) ? { verdicts: { umask: Number.parseInt(text, 8) } } : undefined),
  },
  data: oneOf(["object", "string"], (dataAs) => ({ dataAs })),
  "shell-failure": oneOf(["A", "B", "C"], (shellFailureForm) => ({ shellFailureForm })),
  user: oneOf(["wuying", "root"], (user) => ({ user })),
  userland: oneOf(["host", "busybox"], (userland) => ({ userland })),
  "bad-key": oneOf(["400", "401", "403"], (status) => ({ badKeyStatus: badKeyStatus[status] })),
  "label-lag": time((labelLagMs) => ({ labelLagMs })),
  "transfer-ready": time((transferReadyMs) => ({ transferReadyMs })),
  "transfer-polls": count((transferPolls) => ({ transferPolls })),
  "stale-transfers": oneOf(["yes", "no"], (value) => ({ staleTransferStatus: value === "yes" })),
  "message-cap": count((messageCapBytes) => ({ messageCapBytes })),
  "response-cap": count((maxResponseBytes) => ({ maxResponseBytes })),
  "long-response": oneOf(["cut", "fail"], (oversizedResponse) => ({ oversizedResponse })),
  "clock-speed": count((clockSpeed) => ({ clockSpeed })),
  "max-age": time((maxAgeMs) => ({ maxAgeMs })),
  idle: time((idleMs) => ({ idleMs })),
  disk: count((diskBytes) => ({ diskBytes })),
  "retry-after": count((retryAfterSeconds) => ({ retryAfterSeconds })),
  seed: count((seed) => ({ seed })),
  "without-commands": {
    values: "names with + between them, such as tar+gzip",
    read: (text) => ({ withoutCommands: text.split("+").filter((name) => name !== "") }),
  },
};

const badKeyStatus = { "400": 400, "401": 401, "403": 403 } as const;

/** Reads `NAME=VALUE` items. @throws {UsageError} for a name or a value that there is not. */
export function parseBehaviour(items: readonly string[]): Partial<EmulatorOptions> {
  let options: Partial<EmulatorOptions> = {};
  for (const item of items) {
    const [name = "", ...rest] = item.split("=");
    const behaviour = Object.hasOwn(behaviours, name) ? behaviours[name] : undefined;
    if (behaviour === undefined) {
      const close = suggest(name, Object.keys(behaviours));
      throw new UsageError(`--behave: there is no ${JSON.stringify(name)}`, {
        hint: close === undefined ? `use one of ${Object.keys(behaviours).join(", ")}` : `did you mean ${close}?`,
      });
    }
    const chosen = behaviour.read(rest.join("="));
    if (chosen === undefined) {
      throw new UsageError(`--behave ${item}: the value is not one of these: ${behaviour.values}`);
    }
    options = { ...options, ...chosen, verdicts: { ...options.verdicts, ...chosen.verdicts } };
  }
  return options;
}
