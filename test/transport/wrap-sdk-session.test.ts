import { join } from "node:path";
import { expect, it } from "vitest";
import type { SdkSession } from "../../src/index.ts";
import { apply, plan, wrapSdkSession } from "../../src/index.ts";
import { openOn, sharedEmulator } from "../helpers/kinds.ts";
import { look } from "../helpers/look.ts";
import { layOut, mirrorOf, temporaryDirectory } from "../helpers/workspace.ts";

it.each(["batch", "steps"] as const)(
  "works through an object shaped like the SDK's session, by %s",
  async (strategy) => {
    const emulator = await sharedEmulator();
    const { session, rootDirectory } = await openOn(emulator);
    const sdk: SdkSession = {
      sessionId: session.id,
      async callMcpTool(name, args) {
        const response = await fetch(`${emulator.url}/mcp?autoGenSession=false`, {
          method: "POST",
          headers: { authorization: `Bearer ${emulator.apiKey}`, "content-type": "application/json" },
          body: JSON.stringify({ sessionId: session.id, name, args: JSON.stringify(args) }),
        });
        const { data } = JSON.parse(await response.text());
        const { text } = data.content[0];
        return data.isError === true ? { success: false, errorMessage: text } : { success: true, data: text };
      },
    };
    const signal = new AbortController().signal;
    const directory = temporaryDirectory();
    const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, index) => (index * 31) % 253));
    layOut(join(directory, "source"), {
      "a.txt": "text\n",
      "sub/b.bin": bytes,
      "run.sh": { bytes: "#!/bin/sh\n", mode: 0o755 },
    });
    const wrapped = wrapSdkSession(sdk);
    const report = await apply(mirrorOf(directory), wrapped, { strategy, signal });
    expect(report.verified).toBe(true);
    expect(look(rootDirectory)).toEqual(look(join(directory, "source")));
    expect((await plan(mirrorOf(directory), wrapped, { strategy, signal })).plan.steps).toEqual([]);
    await session.close();
  },
);
