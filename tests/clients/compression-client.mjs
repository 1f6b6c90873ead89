// Two stock clients that offer permessage-deflate, and messages both ways above and below the threshold.
//
//   node compression-client.mjs URL TRANSPORTS
//
// Prints `all is well` once every message has arrived as it was sent, and the traffic was compressed.

import assert from "node:assert/strict";
import { once } from "node:events";

import { io } from "socket.io-client";

const [url, transports] = process.argv.slice(2);
const SIZES = [1, 900, 1023, 1024, 5_000, 200_000];

async function connect() {
  const options = { transports: transports.split(","), forceNew: true, perMessageDeflate: { threshold: 1024 } };
  const socket = io(url, options);
  const { engine } = socket.io;
  await once(socket, "connect");
  if (engine.transport.name !== "websocket") await once(engine, "upgrade");
  const { ws } = engine.transport;
  assert.match(ws.extensions, /permessage-deflate/, "it was agreed on");
  return { socket, tcp: ws._socket };
}

const [speaker, member] = [await connect(), await connect()];
for (const { socket } of [speaker, member]) assert.equal((await socket.emitWithAck("join", "room")).ok, true);

let plain = 0;
const before = { sent: speaker.tcp.bytesWritten, heard: member.tcp.bytesRead };
for (let round = 0; round < 5; round++) {
  for (const size of SIZES) {
    const body = `${round} wörd `.repeat(size).slice(0, size);
    plain += size;
    const heard = once(member.socket, "message");
    assert.equal((await speaker.socket.emitWithAck("message", { room: "room", body })).ok, true);
    assert.equal((await heard)[0].body, body);
    const bytes = Buffer.alloc(size, body);
    const [text, echoed] = await new Promise((resolve) => {
      speaker.socket.emit("echo", body, bytes, (...args) => resolve(args));
    });
    assert.equal(text, body);
    assert.ok(bytes.equals(echoed));
  }
}
const sent = speaker.tcp.bytesWritten - before.sent;
const heard = member.tcp.bytesRead - before.heard;
assert.ok(sent < plain / 5, `${sent} bytes were sent for three times ${plain}`);
assert.ok(heard < plain / 5, `${heard} bytes were heard for ${plain}`);
console.log("all is well");
for (const { socket } of [speaker, member]) socket.disconnect();
