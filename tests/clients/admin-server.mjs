// A stock Node Socket.IO server with a little of the chat protocol, which the stock Admin UI connects to.
//
//   node admin-server.mjs --username NAME --password-hash HASH [--mode MODE] [--read-only]
//
// Prints one line, `listening on http://127.0.0.1:PORT`, when it is ready, and ends when whoever
// started it closes its stdin.

import { instrument } from "@socket.io/admin-ui";
import { createServer } from "node:http";
import { parseArgs } from "node:util";
import { Server } from "socket.io";

const { values: options } = parseArgs({
  options: {
    username: { type: "string" },
    "password-hash": { type: "string" },
    mode: { type: "string", default: "production" },
    "read-only": { type: "boolean", default: false },
  },
});

const http = createServer((request, response) => response.writeHead(404).end());
const io = new Server(http, { serveClient: false });
io.on("connection", (socket) => {
  socket.emit("hello", { id: socket.id });
  socket.on("join", (room, ack) => {
    socket.join(room);
    ack({ ok: true });
  });
  socket.on("leave", (room, ack) => {
    socket.leave(room);
    ack({ ok: true });
  });
  socket.on("name", (name, ack) => {
    socket.data.data = name;
    ack({ ok: true });
  });
  socket.on("message", (message, ack) => {
    socket.to(message.room).emit("message", { ...message, from: socket.id });
    ack({ ok: true });
  });
  socket.on("echo", (...args) => args.pop()(...args));
});
instrument(io, {
  auth: { type: "basic", username: options.username, password: options["password-hash"] },
  mode: options.mode,
  readonly: options["read-only"],
});

process.stdin.on("end", () => process.exit(0)).on("error", () => process.exit(0)).resume();
http.listen(0, "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${http.address().port}`);
});
