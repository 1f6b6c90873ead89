// What operators may do, and that it is shown.

import assert from "node:assert/strict";

export async function a_socket_is_moved(world) {
  const operator = await world.operator();
  const room = world.room();
  const [peer, other] = [await world.peer(), await world.peer(room)];
  operator.socket.emit("join", "/", room, peer.id);
  await operator.until("room_joined", "/", room, peer.id);
  await other.ok("message", { room, body: "in" });
  assert.equal((await peer.expect("message")).body, "in");
  operator.socket.emit("leave", "/", room, peer.id);
  await operator.until("room_left", "/", room, peer.id);
  await other.ok("message", { room, body: "out" });
  await peer.quiet();
}

export async function a_whole_room_is_moved(world) {
  const operator = await world.operator();
  const [from, to] = [world.room(), world.room()];
  const peers = [];
  for (let count = 0; count < 5; count += 1) peers.push(await world.peer(from));
  const outside = await world.peer();
  operator.socket.emit("join", "/", to, from);
  operator.socket.emit("leave", "/", from, from);
  const ids = new Set(peers.map(({ id }) => id));
  while (ids.size > 0) {
    const [, room, id] = await operator.until("room_left");
    if (room === from) ids.delete(id);
  }
  operator.socket.emit("emit", "/", to, "note", 1);
  for (const peer of peers) assert.equal(await peer.expect("note"), 1);
  await outside.quiet();
}

export async function an_event_goes_to_whom_it_is_for(world) {
  const operator = await world.operator();
  const room = world.room();
  const [peer, other] = [await world.peer(room), await world.peer()];
  const bytes = Buffer.from([4, 5]);
  operator.socket.emit("emit", "/", peer.id, "note", 1, { bytes });
  assert.deepEqual(await peer.next(), ["note", 1, { bytes }]);
  const [, , args] = await operator.until("event_sent", "/", peer.id);
  assert.deepEqual(args[0] === "hello" ? (await operator.until("event_sent", "/", peer.id))[2] : args, [
    "note",
    1,
    { bytes },
  ]);
  operator.socket.emit("emit", "/", room, "note", "room");
  assert.deepEqual(await peer.next(), ["note", "room"]);
  operator.socket.emit("emit", "/", null, "note");
  assert.deepEqual(await peer.next(), ["note"]);
  assert.deepEqual(await other.next(), ["note"]);
}

export async function a_socket_is_disconnected(world) {
  const operator = await world.operator();
  const [peer, other] = [await world.peer(), await world.peer()];
  const { id } = peer;
  const gone = peer.disconnected();
  operator.socket.emit("_disconnect", "/", false, id);
  assert.equal(await gone, "io server disconnect");
  await operator.until("socket_disconnected", "/", id, "server namespace disconnect");
  await operator.until("room_left", "/", id, id);
  await other.quiet();
}

export async function everybody_is_disconnected_with_their_connections(world) {
  const operator = await world.operator();
  const peers = [await world.peer(), await world.peer(), await world.peer()];
  const gone = peers.map((peer) => peer.disconnected());
  operator.socket.emit("_disconnect", "/", true);
  await Promise.all(gone);
  for (let count = 0; count < peers.length; count += 1) await operator.until("socket_disconnected");
}
