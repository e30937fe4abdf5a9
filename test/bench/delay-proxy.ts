import { once } from "node:events";
import { createServer, connect as dial, type Socket } from "node:net";

/** A TCP proxy on loopback that holds every byte back for half of the round trip in each direction. */
export async function delayProxy(targetPort: number, roundTripMs: number): Promise<{ port: number; close(): void }> {
  const sockets = new Set<Socket>();
  const forward = (from: Socket, to: Socket) => {
    from.on("data", (chunk) => setTimeout(() => to.write(chunk), roundTripMs / 2));
    from.on("end", () => setTimeout(() => to.end(), roundTripMs / 2));
    from.on("error", () => to.destroy());
    sockets.add(from);
  };
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const target = dial({ port: targetPort, host: "127.0.0.1", allowHalfOpen: true });
    forward(client, target);
    forward(target, client);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
