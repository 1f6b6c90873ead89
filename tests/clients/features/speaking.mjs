// Rooms, broadcasts, acks and attachments.

import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";

import { IS_OLD, TRANSPORTS } from "../suite/peer.mjs";

const bytes = (length) => Buffer.from(Array.from({ length }, (_, at) => (at * 31 + length) & 255));

export async function rooms_are_joined_left_and_switched_between(world) {
  const [room, other] = [world.room(), world.room()];
  const [speaker, member] = [await world.member("/"), await world.member("/", room)];
  await speaker.ask("say", { to: [room] }, 1);
  assert.deepEqual(await member.heard(), [["said", 1]]);
  assert.equal(await member.call("switch", room, other), 1);
  assert.deepEqual(await member.call("rooms"), [other]);
  await speaker.ask("say", { to: [room] }, 2);
  await speaker.ask("say", { to: [other] }, 3);
  assert.deepEqual(await member.heard(), [["said", 3]]);
  assert.equal(await member.call("leave", other), true);
  await speaker.ask("say", { to: [other] }, 4);
  assert.deepEqual(await member.heard(), []);
}

export async function unions_of_rooms_less_others_reach_each_once(world) {
  const [a, b, c] = [world.room("a"), world.room("b"), world.room("c")];
  const speaker = await world.member("/", a);
  const [both, without] = [await world.member("/", a, b), await world.member("/", a, c)];
  await speaker.ask("say", { to: [a, b, await both.identify()], except: [c] }, "x");
  assert.deepEqual(await both.heard(), [["said", "x"]]);
  assert.deepEqual(await without.heard(), []);
  assert.deepEqual(await speaker.heard(), []);
}

export async function acks_go_in_both_directions(world) {
  const member = await world.member("/acks");
  member.socket.once("question", (question, answer) => answer("yes", { to: question }));
  assert.deepEqual(await member.call("ask-me", { a: [1] }), ["yes", { to: { a: [1] } }]);
  const { error } = await member.call("ask-me-soon", 50);
  assert.equal(error, "the client did not answer within 50ms");
  if (IS_OLD) return;
  const late = member.socket.timeout(50).emitWithAck("nobody-listens");
  await assert.rejects(late, { message: "operation has timed out" });
}

export async function binary_goes_both_ways_in_events_and_acks(world) {
  const [member, other] = [await world.member("/binary"), await world.member("/binary")];
  const ten = Array.from({ length: 10 }, (_, at) => bytes(at * 100));
  for (const args of [[bytes(4)], [{ a: [bytes(0), { b: bytes(70_000) }] }, "text"], [{ ten }]]) {
    assert.deepEqual(await member.ask("echo", ...args), args);
    member.socket.emit("back", ...args);
    assert.deepEqual(await member.next(), ["binary", ...args]);
    assert.deepEqual(await member.ask("share", ...args), []);
    const [name, ...shared] = await other.next();
    assert.equal(name, "binary");
    assert.deepEqual(shared, args);
    member.socket.once("question", (answer) => answer(...args));
    assert.deepEqual(await member.ask("ask-me"), args);
    // What the server had asked is an event like others.
    assert.equal((await member.next())[0], "question");
  }
}

export async function traffic_goes_on_in_both_directions_while_a_client_upgrades(world) {
  const speaker = await world.member("/binary");
  let [member, engine] = [];
  // Some have done it before they are told that they are in.
  for (let tries = 0; engine?.transport.name !== TRANSPORTS[0]; tries += 1) {
    assert.ok(tries < 50, "they are caught before it");
    member = await world.member("/binary");
    ({ engine } = member.socket.io);
  }
  const [said, shared] = [[], []];
  let more = 100;
  while (more > 0) {
    if (engine.transport.name === TRANSPORTS.at(-1)) more -= 1;
    const what = said.length % 3 ? said.length : { bytes: bytes(said.length % 700) };
    member.socket.emit("back", "said", said.length, what);
    said.push(["binary", "said", said.length, what]);
    speaker.socket.emit("share", "shared", shared.length);
    shared.push(["binary", "shared", shared.length]);
    if (said.length % 5 === 0) await turn();
  }
  await speaker.ask("fence");
  const heard = await member.heard();
  assert.deepEqual(heard.filter(([, word]) => word === "said"), said);
  assert.deepEqual(heard.filter(([, word]) => word === "shared"), shared);
}

export async function a_broadcast_is_answered_by_all_or_by_those_in_time(world) {
  const room = world.room();
  const asker = await world.member("/acks");
  const answerers = [];
  for (let number = 1; number <= 3; number += 1) {
    const answerer = await world.member("/acks", room);
    answerer.socket.on("question", (question, answer) => answer(question, number));
    answerers.push(answerer);
  }
  const [answers, missing] = await asker.ask("ask-all", { to: [room] }, "who?");
  assert.deepEqual(answers.sort(), [["who?", 1], ["who?", 2], ["who?", 3]]);
  assert.equal(missing, 0);
  answerers[1].socket.off("question");
  const [some, one] = await asker.ask("ask-all", { to: [room], timeout_ms: 1000 }, "who?");
  assert.deepEqual([some.sort(), one], [[["who?", 1], ["who?", 3]], 1]);
}

export async function sockets_are_found_moved_and_ended_by_others(world) {
  const [room, next] = [world.room(), world.room()];
  const [asker, member] = [await world.member("/", room), await world.member("/", room)];
  await member.ask("keep", { name: "Ada" });
  await asker.ask("sockets-join", { to: [room] }, next);
  const found = { id: await member.identify(), rooms: [next, room].sort(), data: { name: "Ada" } };
  const [fetched] = await asker.call("fetch", { to: [next] });
  assert.deepEqual({ ...fetched, rooms: fetched.rooms.sort() }, found);
  const ended = member.disconnected();
  await asker.ask("disconnect-sockets", { to: [next] }, false);
  assert.equal(await ended, "io server disconnect");
}
