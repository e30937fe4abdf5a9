import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { AgbSyncError, UsageError } from "../../../src/errors.ts";
import { configFromEnvironment, endpointUrl } from "../../../src/transport/agb/agb-config.ts";
import { temporaryDirectory } from "../../helpers/workspace.ts";

describe("the endpoint", () => {
  it.each([
    ["sdk-api.agb.cloud", "https://sdk-api.agb.cloud"],
    ["sdk-api.agb.cloud/", "https://sdk-api.agb.cloud"],
    ["localhost:4701", "https://localhost:4701"],
    ["http://127.0.0.1:4701/", "http://127.0.0.1:4701"],
    ["HTTPS://host/base", "HTTPS://host/base"],
  ])("%s", (endpoint, url) => {
    expect(endpointUrl(endpoint)).toBe(url);
  });

  it.each([["ftp://host"], ["file:///etc"], ["ws://host"], ["http://"], ["a b"]])("is not %j", (endpoint) => {
    expect(() => endpointUrl(endpoint)).toThrow(
      expect.objectContaining({
        constructor: UsageError,
        message: expect.stringContaining(endpoint),
        hint: expect.any(String),
      }),
    );
  });
});

describe("the API key", () => {
  it.each([["ako-1\n"], ["ako\r\nx"], ["ako-“1”"], ["ako\u0000"], ["ako-\u007f"]])(
    "is refused when it is %j",
    (key) => {
      const read = () => configFromEnvironment({ AGB_API_KEY: key }, temporaryDirectory());
      expect(read).toThrow(expect.objectContaining({ code: "BAD_API_KEY", hint: expect.any(String) }));
      expect(read).toThrow(expect.not.objectContaining({ message: expect.stringContaining("ako") }));
    },
  );

  it("comes from the environment before .env, and is missed when it is in neither", () => {
    const cwd = temporaryDirectory();
    const code = (env: Record<string, string>) => {
      try {
        return configFromEnvironment(env, cwd).apiKey;
      } catch (error) {
        return error instanceof AgbSyncError ? error.code : "";
      }
    };
    writeFileSync(join(cwd, ".env"), "AGB_ENDPOINT=x\n");
    expect(code({})).toBe("NO_API_KEY");
    writeFileSync(join(cwd, ".env"), "AGB_API_KEY=from-file\n");
    expect([code({}), code({ AGB_API_KEY: "from-env" })]).toEqual(["from-file", "from-env"]);
    writeFileSync(join(cwd, ".env"), "\ufeffAGB_API_KEY=first-line\nAGB_ENDPOINT=\n");
    expect(configFromEnvironment({}, cwd)).toMatchObject({
      apiKey: "first-line",
      endpoint: "https://sdk-api.agb.cloud",
    });
    writeFileSync(join(cwd, "other"), "AGB_API_KEY=named\n");
    expect(configFromEnvironment({}, cwd, ["other"]).apiKey).toBe("named");
  });
});
