import type { Transport } from "../../src/transport/transport.ts";

type Calls = "move" | "deleteFile";

/** The same transport, with `check` ahead of every call of one kind: what it throws is what the caller gets. */
export function beforeCall<Name extends Calls>(
  transport: Transport,
  name: Name,
  check: (...call: Parameters<Transport[Name]>) => void,
): Transport {
  return new Proxy(transport, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== "function") return value;
      if (property !== name) return value.bind(target);
      return async (...call: Parameters<Transport[Name]>): Promise<unknown> => {
        check(...call);
        return await Reflect.apply(value, target, call);
      };
    },
  });
}
