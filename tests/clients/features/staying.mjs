// Ends of connections, and coming back.

import assert from "node:assert/strict";

import { soon } from "../suite/peer.mjs";

/** The next thing that is said of the socket `id`; sockets of other checks go as well. */
async function about(watcher, id) {
  for (;;) {
    const event = await watcher.next();
    if (event[1] === id) return event;
  }
}

export async function a_client_comes_back_by_itself_and_joins_again_when_its_connection_was_ended(world) {
  const room = world.room();
  const watcher = await world.member("/ending", room);
  const member = world.stranger("/ending");
  member.socket.on("connect", () => member.socket.emit("join", room));
  await member.enter();
  for (let round = 0; round < 3; round += 1) {
    const id = await member.identify();
    await member.heard();
    await watcher.heard();
    const ended = member.disconnected();
    const back = new Promise((resolve) => member.socket.once("connect", resolve));
    member.socket.emit("panic");
    assert.equal(await ended, "transport close");
    await soon(back, "the client to come back");
    assert.notEqual(await member.identify(), id, "a new socket");
    assert.deepEqual(await about(watcher, id), ["going", id, "server namespace disconnect", [room]]);
    await member.ask("fence");
    await watcher.ask("say", { to: [room] }, "welcome back");
    assert.ok((await member.heard()).some(([name, what]) => name === "said" && what === "welcome back"));
  }
}

export async function who_was_disconnected_by_the_server_comes_back_when_it_wants_to(world) {
  const room = world.room();
  const [speaker, member] = [await world.member("/ending"), await world.member("/ending", room)];
  for (const close of [false, true]) {
    const ended = member.disconnected();
    member.socket.emit("go", close);
    assert.equal(await ended, "io server disconnect");
    await member.enter();
    assert.deepEqual(await member.call("rooms"), []);
    await member.ask("join", room);
    await speaker.ask("say", { to: [room] }, "again");
    // Ends of other sockets are heard here too.
    const said = (await member.heard()).filter(([name]) => name === "said");
    assert.deepEqual(said, [["said", "again"]]);
  }
}

export async function the_server_knows_why_a_client_has_gone(world) {
  const watcher = await world.member("/ending");
  const [leaver, closer] = [await world.member("/ending", "x"), await world.member("/ending", "y")];
  const [left, closed] = [await leaver.identify(), await closer.identify()];
  leaver.socket.disconnect();
  assert.deepEqual(await about(watcher, left), ["going", left, "client namespace disconnect", ["x"]]);
  assert.equal((await about(watcher, left))[0], "gone");
  closer.socket.io.engine.close();
  assert.deepEqual(await about(watcher, closed), ["going", closed, "transport close", ["y"]]);
}
