import { readEnvFiles } from "../../environment/env-files.ts";
import type { Environment } from "../../environment/parse-dot-env.ts";
import { TransportError, UsageError } from "../../errors.ts";

/** How the service is reached. */
export type AgbConfig = { readonly apiKey: string; readonly endpoint: string; readonly timeoutMs: number };

const DEFAULT_ENDPOINT = "sdk-api.agb.cloud";
const DEFAULT_TIMEOUT_MS = 60_000;

/**
 * Key, endpoint and timeout from the environment, then from the files named, then from the nearest `.env` (protocol §1).
 * @throws {TransportError} `NO_API_KEY`, `BAD_API_KEY` for one that no header can carry. @throws {UsageError} for a
 * timeout that is no number or an endpoint that is no address.
 */
export function configFromEnvironment(env: Environment, cwd: string, envFiles: readonly string[] = []): AgbConfig {
  const isWhole = env["AGB_API_KEY"] && env["AGB_ENDPOINT"] && env["AGB_TIMEOUT_MS"];
  const files = isWhole ? { values: {}, faults: [] } : readEnvFiles(cwd, envFiles);
  const value = (name: string) => env[name] || files.values[name] || undefined;
  const apiKey = value("AGB_API_KEY");
  if (apiKey === undefined) {
    const unread = files.faults.map((fault) => `; ${fault}`).join("");
    throw new TransportError("NO_API_KEY", `there is no API key: AGB_API_KEY is not set${unread}`, {
      hint: "set AGB_API_KEY in the environment or in .env, or work without a key: --local",
    });
  }
  const strange = /[^\x20-\x7e\x80-\xff]/.exec(apiKey);
  if (strange !== null) {
    throw new TransportError(
      "BAD_API_KEY",
      `AGB_API_KEY cannot be sent: its character ${strange.index + 1} of ${apiKey.length} fits no HTTP header`,
      { hint: "copy the key again, without line breaks or typographic characters" },
    );
  }
  const timeout = value("AGB_TIMEOUT_MS");
  const timeoutMs = timeout === undefined ? DEFAULT_TIMEOUT_MS : Number(timeout);
  if (!Number.isSafeInteger(timeoutMs) || timeoutMs < 1) {
    throw new UsageError(`AGB_TIMEOUT_MS=${timeout} is not a number of milliseconds`, {
      hint: "write for example AGB_TIMEOUT_MS=60000",
    });
  }
  return { apiKey, endpoint: endpointUrl(value("AGB_ENDPOINT") ?? DEFAULT_ENDPOINT), timeoutMs };
}

/**
 * An endpoint without a scheme means https; a trailing slash means nothing.
 * @throws {UsageError} for another scheme, or for what is no address.
 */
export function endpointUrl(endpoint: string): string {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(endpoint)?.[1]?.toLowerCase();
  if (scheme !== undefined && scheme !== "http" && scheme !== "https") {
    throw new UsageError(`AGB_ENDPOINT=${endpoint} is neither http nor https`, {
      hint: "write for example AGB_ENDPOINT=https://sdk-api.agb.cloud",
    });
  }
  const url = scheme === undefined ? `https://${endpoint}` : endpoint;
  if (!URL.canParse(url)) {
    throw new UsageError(`AGB_ENDPOINT=${endpoint} is not an address`, {
      hint: "write for example AGB_ENDPOINT=sdk-api.agb.cloud",
    });
  }
  return url.replace(/\/+$/, "");
}
