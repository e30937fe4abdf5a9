import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { ErrorCode } from "../../src/errors.ts";
import { TransportError } from "../../src/errors.ts";
import { EmbeddedTransport } from "../../src/transport/embedded/embedded-transport.ts";
import type { Transport } from "../../src/transport/transport.ts";
import { AdaptiveLimit, withLimit } from "../../src/transport/with-limit.ts";
import { withRetry } from "../../src/transport/with-retry.ts";
import { workspacePath } from "../../src/tree/workspace-path.ts";
import { look } from "../helpers/look.ts";
import { type Local, layOut, temporaryDirectory } from "../helpers/workspace.ts";
import { quick } from "./loopback.ts";

const { signal } = new AbortController();
const a = workspacePath("a");
const b = workspacePath("b");

function failure(code: ErrorCode): TransportError {
  return new TransportError(code, "x", { retryable: true });
}

/** A session of these files, with some of its calls replaced, and retries round it. */
function open(files: Readonly<Record<string, Local>>, replace: (inner: Transport) => Partial<Transport>) {
  const directory = temporaryDirectory();
  const inner = new EmbeddedTransport({ directory, root: "/w" });
  layOut(join(directory, "w"), files);
  const replaced: Transport = { ...withLimit(inner, new AdaptiveLimit(8)), ...replace(inner) };
  return {
    transport: withRetry(replaced, { policy: quick }),
    counters: inner.counters,
    files: () => look(join(directory, "w"), { modes: false }),
  };
}

/** Counts calls; the first fails after its work was done, or before. */
function failingOnce<Given extends readonly unknown[]>(
  call: (...given: Given) => Promise<void>,
  when: "before" | "after",
  code: ErrorCode = "UNAVAILABLE",
) {
  const counted = { calls: 0 };
  const failing = async (...given: Given) => {
    counted.calls += 1;
    if (when === "before" && counted.calls === 1) throw failure(code);
    await call(...given);
    if (counted.calls === 1) throw failure(code);
  };
  return { counted, failing };
}

describe("a move", () => {
  it.each<readonly [when: "before" | "after", code: ErrorCode, replace: boolean, calls: number]>([
    ["after", "UNAVAILABLE", false, 1],
    ["after", "TIMEOUT", true, 1],
    ["before", "UNAVAILABLE", false, 2],
    ["before", "THROTTLED", true, 2],
  ])("that fails %s its work with %s, replace %s, is made once", async (when, code, replace, calls) => {
    const counts: { calls: number }[] = [];
    const session = open(replace ? { a: "1", b: "2" } : { a: "1" }, (inner) => {
      const { counted, failing } = failingOnce(inner.move.bind(inner), when, code);
      counts.push(counted);
      return { move: failing };
    });
    const expected = { b: session.files()["a"] };
    await session.transport.move(a, b, { replace }, signal);
    expect(session.files()).toEqual(expected);
    expect([counts, session.counters.retries]).toEqual([[{ calls }], 1]);
  });

  it("that was lost and is not there fails with what the next try says", async () => {
    const session = open({ a: "1", b: "2" }, (inner) => {
      let calls = 0;
      return {
        move: async (...given) => {
          calls += 1;
          if (calls === 1) throw failure("UNAVAILABLE");
          await inner.move(...given);
        },
      };
    });
    await expect(session.transport.move(a, b, { replace: false }, signal)).rejects.toMatchObject({
      code: "ALREADY_EXISTS",
    });
  });
});

describe("a link", () => {
  it("whose answer was lost is there, and that is success", async () => {
    const session = open({ a: "1" }, (inner) => ({
      createLink: failingOnce(inner.createLink.bind(inner), "after").failing,
    }));
    await session.transport.createLink(b, "a", signal);
    expect(session.files()).toMatchObject({ b: "-> a" });
  });

  it.each<readonly [name: string, there: Local]>([
    ["a link elsewhere", { link: "elsewhere" }],
    ["a file", "text"],
  ])("that meets %s at the second try fails", async (_name, there) => {
    const session = open({ a: "1", b: there }, (inner) => ({
      createLink: failingOnce(inner.createLink.bind(inner), "before").failing,
    }));
    await expect(session.transport.createLink(b, "a", signal)).rejects.toMatchObject({ code: "ALREADY_EXISTS" });
  });

  it("that is there before the first try fails, also when it is the same", async () => {
    const session = open({ b: { link: "a" } }, () => ({}));
    await expect(session.transport.createLink(b, "a", signal)).rejects.toMatchObject({ code: "ALREADY_EXISTS" });
    expect(session.counters.retries).toBe(0);
  });
});

describe("a stream that breaks", () => {
  const whole = "0123456789";

  /** Breaks off after `goodBytes` of the first reading; then the file becomes `later`. Chunks are of three bytes. */
  function breaking(goodBytes: number, later: string) {
    const texts = [whole.slice(0, goodBytes), later];
    return open({ a: whole }, () => ({
      async *readFile() {
        const text = texts.shift() ?? later;
        for (let at = 0; at < text.length; at += 3) yield Buffer.from(text.slice(at, at + 3));
        if (texts.length > 0) throw failure("UNAVAILABLE");
      },
    }));
  }

  async function read({ transport }: ReturnType<typeof breaking>): Promise<string> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of transport.readFile(a, signal)) chunks.push(chunk);
    return Buffer.concat(chunks).toString();
  }

  it.each([[0], [1], [3], [5], [9], [10]])("after %i bytes goes on where it was", async (goodBytes) => {
    expect(await read(breaking(goodBytes, whole))).toBe(whole);
  });

  it.each([
    ["changed at its start", "x123456789"],
    ["changed just before the break", "01234x6789"],
    ["shortened", "012"],
    ["emptied", ""],
  ])("fails when the file was %s meanwhile, whatever was given out", async (_name, later) => {
    await expect(read(breaking(6, later))).rejects.toMatchObject({
      code: "UNAVAILABLE",
      retryable: false,
      message: expect.stringContaining("changed"),
    });
  });

  it("gives the new version when only what was not given out changed", async () => {
    expect(await read(breaking(6, "012345 and new"))).toBe("012345 and new");
  });
});

describe("a command", () => {
  it.each<readonly [repeatable: boolean, code: ErrorCode, calls: number]>([
    [true, "UNAVAILABLE", 2],
    [true, "TIMEOUT", 2],
    [true, "THROTTLED", 2],
    [false, "UNAVAILABLE", 1],
    [false, "TIMEOUT", 1],
    [false, "THROTTLED", 2],
    [false, "UNREACHABLE", 2],
  ])("that is repeatable: %s, and fails with %s, is sent %i times", async (repeatable, code, calls) => {
    let sent = 0;
    const session = open({}, () => ({
      shell: async () => {
        sent += 1;
        if (sent === 1) throw failure(code);
        return { stdout: "", stderr: "", exitCode: 0 };
      },
    }));
    const outcome = await session.transport
      .shell?.({ command: "x", timeoutMs: 1, repeatable }, signal)
      .catch((error: unknown) => error);
    expect(outcome).toMatchObject(calls === 1 ? { code } : { exitCode: 0 });
    expect(sent).toBe(calls);
  });

  it("is not there where the session has none", () => {
    expect(open({}, () => ({ shell: undefined, upload: undefined })).transport.shell).toBeUndefined();
  });
});
