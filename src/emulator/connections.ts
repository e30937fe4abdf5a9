import type { Server } from "node:http";
import type { Socket } from "node:net";

/**
 * Keeps those who have no key from taking all connections: they are few at a time, each must send the head of a request
 * soon (`headersTimeout` of the server), and a refused one is closed. With one more than `atMost`, the oldest goes.
 * The function that it gives is for the connection of somebody who showed a key.
 */
export function limitStrangers(server: Server, atMost: number): (socket: Socket) => void {
  const strangers = new Set<Socket>();
  server.on("connection", (socket) => {
    strangers.add(socket);
    socket.once("close", () => strangers.delete(socket));
    const [oldest] = strangers;
    if (strangers.size > atMost) oldest?.destroy();
  });
  return (socket) => void strangers.delete(socket);
}
