// One stock client that lives through a restart of its server.
//
//   node restart-client.mjs URL
//
// Prints `connected`, `disconnected` and `connected to another server`, each when it has come true,
// and ends well if the chat is served after that.

import assert from "node:assert/strict";

import { manager, Peer, soon } from "./suite/peer.mjs";

const room = "restart";
const peer = await new Peer(manager(process.argv[2]), "/").connect();
const { server } = peer.hello;
await peer.ok("join", room);
assert.equal((await peer.ok("message", { room, body: 1 })).seq, 1);
console.log("connected");

await soon(new Promise((resolve) => peer.socket.once("disconnect", resolve)), "the server to go");
console.log("disconnected");

const [event, hello] = await peer.next();
assert.equal(event, "hello");
assert.notEqual(hello.server, server, "a server that starts anew has a new name");
console.log("connected to another server");

await peer.refused("message", { room, body: "membership does not outlive the server" });
await peer.ok("join", room);
assert.equal((await peer.ok("message", { room, body: 2 })).seq, 1);
process.exit(0);
