// An echo server on npm's ws: server.mjs HOST:PORT MAX_MESSAGE.

import { WebSocketServer } from "ws";

const [address, limit] = process.argv.slice(2);
const colon = address.lastIndexOf(":");
const server = new WebSocketServer({
  host: address.slice(0, colon),
  port: Number(address.slice(colon + 1)),
  maxPayload: Number(limit),
  perMessageDeflate: false,
});
server.on("connection", (client) => {
  client.on("error", () => {});
  client.on("message", (data, binary) => client.send(data, { binary }));
});
