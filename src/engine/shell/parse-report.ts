import { TransportError } from "../../errors.ts";

const statuses = [
  "done",
  "partial",
  "stale",
  "locked",
  "damaged",
  "undelivered",
  "stopped",
  "failed",
  "running",
  "died",
] as const;
const codes = ["failed", "skipped", "appeared", "changed", "missing", "outside", "locked"] as const;

/** What a commit said of itself. */
export type Report = {
  readonly status: (typeof statuses)[number];
  readonly faults: readonly Fault[];
  /** Name of the backup that it made; undefined when it made none. */
  readonly backup: string | undefined;
  /** What it set aside in the state directory because agb-sync did not put it there. */
  readonly aside: readonly string[];
};

/** One line of work that did not go well: all of it, or the name at `position`. */
type Fault = {
  readonly op: number;
  readonly position: "all" | number;
  readonly code: (typeof codes)[number];
  readonly text: string;
};

/** @throws {TransportError} `BAD_ANSWER` for a report that is not whole. */
export function parseReport(text: string): Report {
  const [first, ...rest] = text.split("\n");
  const status = statuses.find((one) => one === first);
  if (status === undefined || rest.pop() !== "end") {
    throw new TransportError("BAD_ANSWER", "commit: the report is not whole", { retryable: true });
  }
  if (status === "died") {
    return {
      status,
      faults: [{ op: 0, position: "all", code: "failed", text: rest.join(" ") }],
      backup: undefined,
      aside: [],
    };
  }
  const said = (word: string) =>
    rest.flatMap((line) => (line.startsWith(`${word} `) ? [line.slice(word.length + 1)] : []));
  const faults = rest.filter((line) => line !== "" && !/^(?:backup|aside) /.test(line));
  return { status, faults: faults.map(parseFault), backup: said("backup")[0], aside: said("aside") };
}

function parseFault(line: string): Fault {
  const match = /^(\d{1,9}) (all|\d{1,9}) ([a-z]+) ?(.*)$/s.exec(line);
  const code = codes.find((one) => one === match?.[3]);
  if (match === null || code === undefined) {
    throw new TransportError("BAD_ANSWER", "commit: the report holds a line that cannot be read");
  }
  return {
    op: Number(match[1]),
    position: match[2] === "all" ? "all" : Number(match[2]),
    code,
    text: match[4] ?? "",
  };
}
