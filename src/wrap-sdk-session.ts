import { agbSession } from "./agb-session.ts";
import type { Session } from "./session.ts";
import type { SdkSession } from "./transport/agb/sdk-connection.ts";
import { sdkConnection } from "./transport/agb/sdk-connection.ts";
import { DEFAULT_CONCURRENCY } from "./transport/requests.ts";
import { DEFAULT_RETRY_POLICY, type RetryPolicy } from "./transport/retry-policy.ts";

/**
 * A session that is reached through somebody's SDK object. Its life cycle and its connection stay with the SDK; there
 * is no file transfer, so large contents go in parts.
 * @throws {UsageError} for an object without an id.
 */
export function wrapSdkSession(
  sdk: SdkSession,
  options: { readonly concurrency?: number; readonly retryPolicy?: RetryPolicy } = {},
): Session {
  const { concurrency = DEFAULT_CONCURRENCY, retryPolicy = DEFAULT_RETRY_POLICY } = options;
  const keepAlive = async () => undefined;
  // Whoever made it with the SDK ends it with the SDK.
  const release = async () => undefined;
  const connection = sdkConnection(sdk, concurrency, retryPolicy);
  return agbSession(connection, { origin: "attached", concurrency, keepAlive, release });
}
