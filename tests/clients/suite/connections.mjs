// Connecting, calling and being called back.

import assert from "node:assert/strict";

import { Peer, soon } from "./peer.mjs";

export async function hello_names_the_socket_and_the_server(world) {
  const first = await world.peer();
  const second = await world.peer();
  for (const { hello, id } of [first, second]) {
    assert.deepEqual(Object.keys(hello).sort(), ["id", "server"]);
    assert.equal(hello.id, id, "hello.id is the Socket.IO id");
    assert.equal(typeof hello.server, "string");
    assert.notEqual(hello.server, "");
  }
  assert.notEqual(first.id, second.id);
  assert.equal(first.hello.server, second.hello.server, "one process has one name");
  await first.quiet();
}

export async function an_auth_payload_is_accepted(world) {
  const auth = { token: "t", nested: { list: [1, 2] } };
  const peer = await new Peer(world.manager(), "/", { auth }).connect();
  await peer.quiet();
}

export async function a_query_and_headers_are_accepted(world) {
  const options = { query: { a: "b c&d=é" }, extraHeaders: { "x-test": "1" } };
  const peer = await new Peer(world.manager(options), "/").connect();
  await peer.quiet();
}

export async function echo_acks_the_same_arguments(world) {
  const peer = await world.peer();
  for (const args of [
    [],
    [null],
    ["text"],
    [1, -1, 0.5],
    [true, false],
    [[], {}, [[]], [{}]],
    [{ a: { b: { c: [1, { d: null }] } } }, "second", 3],
    Array.from({ length: 50 }, (_, index) => index),
  ]) {
    assert.deepEqual(await peer.ask("echo", ...args), args);
  }
}

export async function many_calls_at_once_get_their_own_acks(world) {
  const peer = await world.peer();
  const numbers = Array.from({ length: 500 }, (_, number) => number);
  const order = [];
  await Promise.all(
    numbers.map(async (number) => {
      const [same] = await peer.ask("echo", number);
      assert.equal(same, number);
      order.push(number);
    }),
  );
  assert.deepEqual(order, numbers, "acks come in the order of the calls");
}

export async function an_event_nobody_listens_to_is_ignored(world) {
  const peer = await world.peer();
  for (const name of ["unheard", "error", "", "__proto__", "constructor", "hello", "presence", "é\u0000"]) {
    peer.socket.emit(name, { message: "ignored" });
    peer.socket.emit(name, () => {});
  }
  await peer.quiet();
}

export async function an_ack_the_server_never_asked_for_is_ignored(world) {
  const peer = await world.peer();
  peer.socket.packet({ type: 3, id: 12345, data: ["unasked"] });
  await peer.quiet();
}

export async function typing_and_echo_need_no_ack(world) {
  const room = world.room();
  const peer = await world.peer(room);
  peer.socket.emit("echo", 1, 2);
  peer.socket.emit("typing", room);
  peer.socket.emit("name", "no ack wanted");
  await peer.quiet();
}

export async function a_client_the_server_closed_reconnects_as_a_new_socket(world) {
  const room = world.room();
  const witness = await world.peer(room);
  const peer = await world.peer(room);
  const before = peer.id;
  const closed = peer.disconnected();
  // No packet type of the protocol: the server must close this connection.
  peer.socket.io.engine.send("9");
  const reason = await closed;
  assert.match(reason, /^transport/, "the server closed the connection");
  const hello = await peer.expect("hello");
  assert.equal(hello.id, peer.id);
  assert.notEqual(peer.id, before, "without recovery a reconnect is a new socket");
  const { members } = await witness.ok("members", room);
  assert.deepEqual(members.map(({ id }) => id), [witness.id], "the old socket has left its rooms");
  await peer.ok("join", room);
  await peer.quiet();
}

export async function one_client_being_closed_disturbs_nobody(world) {
  const room = world.room();
  const [victim, speaker, listener] = [await world.peer(), await world.peer(room), await world.peer(room)];
  const closed = victim.disconnected();
  victim.socket.io.reconnection(false);
  victim.socket.io.engine.send("9");
  await closed;
  assert.equal(victim.socket.connected, false);
  await speaker.ok("message", { room, body: "still here" });
  assert.equal((await listener.expect("message")).body, "still here");
}

export async function a_client_can_disconnect_and_connect_again(world) {
  const peer = await world.peer();
  const before = peer.id;
  peer.socket.disconnect();
  assert.equal(peer.socket.connected, false);
  await peer.connect();
  assert.notEqual(peer.id, before);
  await peer.quiet();
}

export async function fifty_clients_connect_at_once(world) {
  const room = world.room();
  const peers = await soon(
    Promise.all(Array.from({ length: 50 }, () => world.peer(room))),
    "fifty clients to connect and join",
  );
  assert.equal(new Set(peers.map(({ id }) => id)).size, 50);
  const { members } = await peers[0].ok("members", room);
  assert.equal(members.length, 50);
}
