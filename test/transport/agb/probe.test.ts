import { describe, expect, it, onTestFinished } from "vitest";
import { connect } from "../../../src/connect.ts";
import type { EmulatorOptions } from "../../../src/emulator/session/emulator-options.ts";
import { startEmulator } from "../../../src/emulator/start-emulator.ts";
import type { ErrorCode } from "../../../src/errors.ts";
import { TransportError } from "../../../src/errors.ts";
import { probeShell } from "../../../src/transport/agb/probe.ts";
import { toolError } from "../../../src/transport/agb/tool-caller.ts";
import { quick } from "../loopback.ts";

const signal = new AbortController().signal;

describe("the probe of a session", () => {
  it.each([["Unknown tool: shell"], ["tool shell not found"], ["Tool 'shell' is not supported"]])(
    "finds no shell when the answer is %j",
    async (text) => {
      expect(await probeShell(failing(toolError("shell", {}, text)), signal)).toMatchObject({ shell: false });
    },
  );

  it.each<readonly [text: string]>([
    ["failed without a reason"],
    ["shell: Permission denied"],
    ["cwd: No such file or directory"],
    ["tool shell is not available now, try again later"],
    ["Execution failed. Error code:-1 Error message: [timeout]"],
  ])("finds nothing out when the answer is %j, and may be repeated", async (text) => {
    await expect(probeShell(failing(toolError("shell", {}, text)), signal)).rejects.toMatchObject({
      code: "UNAVAILABLE",
      retryable: true,
      message: expect.stringContaining("does not work"),
    });
  });

  it.each<readonly [code: ErrorCode]>([["SESSION_GONE"], ["BAD_API_KEY"], ["ABORTED"]])(
    "passes %s on",
    async (code) => {
      await expect(probeShell(failing(new TransportError(code, "x")), signal)).rejects.toMatchObject({
        code,
        retryable: false,
      });
    },
  );

  it.each([
    [{ refuse: "SystemBusy", message: "system busy" }],
    [{ refuse: "Failure", message: "no luck", httpStatusCode: 503 }],
    [{ status: 502 }],
  ])("finds the shell after two refusals such as %j", async (action) => {
    let refusals = 0;
    const session = await open(({ tool }) => (tool === "shell" && (refusals += 1) <= 2 ? action : undefined));
    const { transport } = session.openWorkspace("/tmp/workspace");
    expect(await transport.features(signal)).toMatchObject({ modes: true, probe: { shell: true } });
    expect(refusals).toBe(3);
  });

  it("fails when the refusals do not end, and is asked again by the next call", async () => {
    let isBusy = true;
    const session = await open(({ tool }) => (tool === "shell" && isBusy ? { refuse: "SystemBusy" } : undefined));
    const { transport } = session.openWorkspace("/tmp/workspace");
    await expect(transport.features(signal)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    isBusy = false;
    expect(await transport.features(signal)).toMatchObject({ modes: true });
  });
});

function failing(error: unknown) {
  return async () => {
    throw error;
  };
}

async function open(onRequest: NonNullable<EmulatorOptions["onRequest"]>) {
  const emulator = await startEmulator({ onRequest });
  onTestFinished(async () => await emulator.close());
  const session = await connect({
    env: { AGB_API_KEY: emulator.apiKey, AGB_ENDPOINT: emulator.url },
    cwd: "/",
    spec: { image: "agb-code-space-1", labels: {} },
    retryPolicy: quick,
    signal,
  });
  onTestFinished(async () => await session.close());
  return session;
}
