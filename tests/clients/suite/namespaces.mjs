// Several namespaces over one connection.

import assert from "node:assert/strict";

import { Peer, soon } from "./peer.mjs";

/** Two sockets, one per namespace, on one connection. */
async function pair(world) {
  const manager = world.manager();
  const main = await new Peer(manager, "/").connect();
  const other = await new Peer(manager, world.other).connect();
  assert.equal(main.socket.io.engine, other.socket.io.engine, "one connection carries both");
  return [main, other];
}

export async function one_connection_carries_two_namespaces(world) {
  const [main, other] = await pair(world);
  assert.equal(main.hello.id, main.id);
  assert.equal(other.hello.id, other.id);
  assert.equal(main.hello.server, other.hello.server);
  assert.deepEqual(await main.ask("echo", "main"), ["main"]);
  assert.deepEqual(await other.ask("echo", "other", Buffer.from([1])), ["other", Buffer.from([1])]);
}

export async function rooms_do_not_cross_namespaces(world) {
  const room = world.room();
  const [main, other] = await pair(world);
  const [mainFriend, otherFriend] = await pair(world);
  assert.equal((await main.ok("join", room)).members, 1);
  assert.equal((await other.ok("join", room)).members, 1);
  await mainFriend.ok("join", room);
  await otherFriend.ok("watch", room);
  await main.ok("message", { room, body: "main" });
  assert.equal((await mainFriend.expect("message")).body, "main");
  assert.equal((await other.ok("message", { room, body: "nobody hears" })).seq, 1, "numbers do not cross");
  const { members } = await other.ok("members", room);
  assert.deepEqual(members.map(({ id }) => id), [other.id]);
  await otherFriend.refused("message", { room, body: "a member there, not here" });
  for (const peer of [main, other, mainFriend, otherFriend]) await peer.quiet();
}

export async function binary_arrives_in_the_namespace_it_was_sent_to(world) {
  const room = world.room();
  const [[main, other], [mainFriend, otherFriend]] = [await pair(world), await pair(world)];
  for (const peer of [main, other, mainFriend, otherFriend]) await peer.ok("join", room);
  for (const [speaker, listener, byte] of [[main, mainFriend, 1], [other, otherFriend, 2]]) {
    await speaker.ok("message", { room, body: [Buffer.from([byte])] });
    assert.deepEqual((await listener.expect("message")).body, [Buffer.from([byte])]);
  }
  for (const peer of [main, other, mainFriend, otherFriend]) await peer.quiet();
}

export async function leaving_one_namespace_keeps_the_other(world) {
  const room = world.room();
  const [[main, other], [mainFriend, otherFriend]] = [await pair(world), await pair(world)];
  for (const peer of [main, other, mainFriend, otherFriend]) await peer.ok("join", room);
  await otherFriend.ok("watch", room);
  const gone = other.id;
  other.socket.disconnect();
  assert.deepEqual(await otherFriend.expect("presence"), { room, changes: [["-", gone]] });
  assert.equal(main.socket.connected, true);
  await mainFriend.ok("message", { room, body: "both still here" });
  assert.equal((await main.expect("message")).body, "both still here");
  const { members } = await mainFriend.ok("members", room);
  assert.equal(members.length, 2);
  await other.connect();
  assert.notEqual(other.id, gone);
  assert.equal((await other.ok("join", room)).members, 2);
  await main.quiet();
}

export async function an_unknown_namespace_is_refused_and_the_connection_stays(world) {
  const manager = world.manager();
  const main = await new Peer(manager, "/").connect();
  for (const name of ["/unknown", "/é 🌍", "/__proto__", "/constructor", `/${"n".repeat(200)}`]) {
    const stranger = manager.socket(name);
    const refused = new Promise((resolve) => stranger.once("connect_error", resolve));
    stranger.connect();
    const error = await soon(refused, `CONNECT_ERROR of ${name}`);
    assert.equal(error.message, "Invalid namespace");
    assert.equal(error.data, undefined);
    assert.equal(stranger.connected, false);
    await main.quiet();
  }
  assert.equal(main.socket.connected, true);
}

export async function an_unknown_namespace_alone_is_refused(world) {
  const stranger = world.manager().socket("/unknown");
  const refused = new Promise((resolve) => stranger.once("connect_error", resolve));
  stranger.connect();
  assert.equal((await soon(refused, "CONNECT_ERROR")).message, "Invalid namespace");
}

export async function the_second_namespace_speaks_the_whole_protocol_too(world) {
  const [from, to] = [world.room(), world.room()];
  const [[, speaker], [, listener]] = [await pair(world), await pair(world)];
  await speaker.ok("name", "Zoë");
  await speaker.ok("join", from);
  await listener.ok("join", to);
  assert.deepEqual(await listener.call("watch", from), { ok: true, members: [{ id: speaker.id, name: "Zoë" }] });
  assert.deepEqual(await speaker.call("switch", from, to), { ok: true, members: 2 });
  assert.deepEqual(await listener.expect("presence"), { room: from, changes: [["-", speaker.id]] });
  speaker.socket.emit("typing", to);
  assert.deepEqual(await listener.expect("typing"), { room: to, from: speaker.id });
  assert.deepEqual(await speaker.call("message", { room: to, body: { a: 1 }, id: "x" }), { ok: true, seq: 1 });
  assert.deepEqual(await listener.expect("message"), { room: to, from: speaker.id, body: { a: 1 }, seq: 1, id: "x" });
  speaker.socket.emit("leave", 5);
  assert.equal((await speaker.expect("error_message")).ok, false);
  assert.deepEqual(await listener.call("unwatch", from), { ok: true });
}
