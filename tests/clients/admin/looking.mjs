// What is shown of sockets, rooms and events.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";

import { assertSocket } from "./world.mjs";

export async function every_socket_is_in_the_list(world) {
  const room = world.room();
  const peers = [];
  for (let count = 0; count < 6; count += 1) peers.push(await world.peer(room));
  await peers[0].ok("name", "ann");
  const operator = await world.operator();
  const [sockets] = operator.all("all_sockets");
  for (const [at, peer] of peers.entries()) {
    const socket = sockets.find(({ id }) => id === peer.id);
    assertSocket(socket, { id: peer.id, rooms: [peer.id, room], ...(at === 0 && { data: { data: "ann" } }) });
    assert.equal(socket.transport, "websocket");
  }
  const own = sockets.find(({ id }) => id === operator.id);
  assertSocket(own, { id: operator.id, nsp: "/admin", rooms: [operator.id] });
  assert.equal(sockets.length, 7);
}

export async function a_socket_is_told_of_from_its_beginning_to_its_end(world) {
  const operator = await world.operator();
  const [one, other] = [world.room(), world.room()];
  const peer = await world.peer(one, other);
  const { id } = peer;
  peer.socket.disconnect();
  const isEnd = (event, nsp, room) => event === "room_left" && room === other;
  const story = await operator.storyOf(id, isEnd);
  const about = (word) => story.filter(([event]) => event === word).map(([, ...args]) => args);
  const [[socket]] = about("socket_connected");
  assertSocket(socket, { id, rooms: [id] });
  assert.deepEqual(story[0], ["room_joined", "/", id, id]);
  assert.equal(story[1][0], "socket_connected");
  assert.deepEqual(about("room_joined").slice(1), [
    ["/", one, id],
    ["/", other, id],
  ]);
  assert.deepEqual(about("socket_disconnected"), [["/", id, "client namespace disconnect"]]);
  assert.deepEqual(
    about("room_left").sort(),
    [
      ["/", id, id],
      ["/", one, id],
      ["/", other, id],
    ].sort(),
  );
  assert.equal(story.findIndex(([event]) => event === "socket_disconnected"), story.length - 4);
}

export async function events_are_shown_with_their_arguments(world) {
  const operator = await world.operator();
  const room = world.room();
  const [one, other, third] = [await world.peer(room), await world.peer(room), await world.peer(room)];
  await operator.until("room_joined", "/", room, third.id);
  const body = { text: "hello", bytes: Buffer.from([1, 2, 3]) };
  await one.ok("message", { room, body });
  const heard = await other.expect("message");
  await third.expect("message");
  // An event with an ack: the page does not see the ack.
  await one.ask("echo", 1, "two", [3]);
  const events = [];
  while (events.length < 4) {
    const [event, nsp, id, args] = await operator.next();
    if (event.startsWith("event_")) events.push([event, nsp, id, args]);
  }
  const received = events.filter(([event]) => event === "event_received");
  assert.deepEqual(received, [
    ["event_received", "/", one.id, ["message", { room, body }]],
    ["event_received", "/", one.id, ["echo", 1, "two", [3]]],
  ]);
  const sent = events.filter(([event]) => event === "event_sent").map(([, nsp, id, args]) => ({ nsp, id, args }));
  const expected = [other.id, third.id].map((id) => ({ nsp: "/", id, args: ["message", heard] }));
  const byId = (one, other) => (one.id < other.id ? -1 : 1);
  assert.deepEqual(sent.sort(byId), expected.sort(byId));
}

export async function what_is_kept_with_a_socket_is_shown_as_it_changes(world) {
  const operator = await world.operator();
  const peer = await world.peer();
  await peer.ok("name", "ann");
  const [updated] = await operator.until("socket_updated");
  assert.deepEqual(updated, { id: peer.id, nsp: "/", data: { data: "ann" } });
}

export async function an_upgrade_is_shown(world) {
  const operator = await world.operator();
  const manager = world.manager({ transports: ["polling", "websocket"] });
  const socket = manager.socket("/").connect();
  const [connected] = await operator.until("socket_connected");
  // It may have gone over before it was let in.
  if (connected.transport === "polling") {
    const [updated] = await operator.until("socket_updated");
    assert.deepEqual(updated, { id: socket.id, nsp: "/", transport: "websocket" });
  }
  while (manager.engine.transport.name !== "websocket") await sleep(1);
  const next = await world.operator();
  const found = next.all("all_sockets")[0].find(({ id }) => id === socket.id);
  assert.equal(found.transport, "websocket");
}

export async function operators_hear_nothing_of_their_own_events(world) {
  const operator = await world.operator();
  const other = await world.operator();
  const peer = await world.peer();
  operator.socket.emit("join", "/", world.room(), peer.id);
  await peer.ask("echo", "fence");
  await other.until("event_received", "/", peer.id, ["echo", "fence"]);
  const events = [...operator.received, ...other.received].filter(([event]) => event.startsWith("event_"));
  assert.deepEqual(
    events.filter(([, nsp]) => nsp !== "/"),
    [],
  );
}

/** The rooms of each socket of `/`, as the page has them after all that `operator` has heard. */
function picture(operator) {
  let sockets = new Map();
  const change = {
    all_sockets: (all) => {
      const chat = all.filter(({ nsp }) => nsp === "/");
      sockets = new Map(chat.map(({ id, rooms }) => [id, new Set(rooms)]));
    },
    socket_connected: ({ id, nsp, rooms }) => nsp === "/" && sockets.set(id, new Set(rooms)),
    socket_disconnected: (nsp, id) => sockets.delete(id),
    room_joined: (nsp, room, id) => sockets.get(id)?.add(room),
    room_left: (nsp, room, id) => sockets.get(id)?.delete(room),
  };
  for (const [event, ...args] of operator.received) change[event]?.(...args);
  const plain = [...sockets].map(([id, rooms]) => [id, [...rooms].sort()]);
  return plain.sort(([one], [other]) => (one < other ? -1 : 1));
}

export async function whoever_comes_while_sockets_move_has_the_same_picture_in_the_end(world) {
  const [room, fence] = [world.room(), world.room("fence")];
  const peers = [];
  for (let count = 0; count < 8; count += 1) peers.push(await world.peer());
  let moving = true;
  const move = async (peer, isIn = false) => {
    while (moving) {
      await peer.ok(isIn ? "leave" : "join", room);
      isIn = !isIn;
    }
    await peer.ok("join", fence);
  };
  const come = async () => {
    while (moving) (await world.peer()).socket.io._close();
  };
  const moves = [...peers.map((peer) => move(peer)), come()];
  const operators = [];
  for (let count = 0; count < 12; count += 1) operators.push(await world.operator());
  moving = false;
  await Promise.all(moves);
  for (const operator of operators) {
    const ids = new Set(peers.map(({ id }) => id));
    while (ids.size > 0) {
      const [, name, id] = await operator.until("room_joined");
      if (name === fence) ids.delete(id);
    }
  }
  // Those who came and went have gone for the server too.
  let last;
  do last = picture(await world.operator());
  while (last.length > peers.length);
  assert.equal(last.length, peers.length);
  for (const operator of operators) {
    while (picture(operator).length > peers.length) await operator.until("socket_disconnected");
    assert.deepEqual(picture(operator), last);
  }
}
