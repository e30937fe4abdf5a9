import { StepsEngine } from "../../src/engine/steps/steps-engine.ts";
import type { Session } from "../../src/session.ts";
import type { Transport } from "../../src/transport/transport.ts";
import { withWorkspace } from "./with-workspace.ts";

/**
 * The same session, step by step, with `hook` ahead of every call of its transport, numbered from 0: what is to happen in
 * the session between two calls happens there for certain, instead of by chance. Over HTTP `onRequest` of the emulator is
 * the same.
 */
export function beforeEachCall(session: Session, hook: (index: number, name: string) => void): Session {
  let index = 0;
  return withWorkspace(session, (workspace) => {
    const transport: Transport = new Proxy(workspace.transport, {
      get(target, property) {
        const value: unknown = Reflect.get(target, property, target);
        if (typeof value !== "function" || property === "features")
          return typeof value === "function" ? value.bind(target) : value;
        return (...call: readonly unknown[]): unknown => {
          hook(index++, String(property));
          return Reflect.apply(value, target, call);
        };
      },
    });
    return { transport, steps: new StepsEngine(transport, 4), batch: undefined };
  });
}
