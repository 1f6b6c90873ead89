// What operators, and who would like to be one, can not do to the server.

import assert from "node:assert/strict";

const REFUSALS = ["invalid credentials", "too many attempts, try again later"];

/** Named so that it comes before those that log in with the password. */
export async function a_session_lets_in_while_others_guess(world) {
  const operator = await world.login();
  const [, sessionId] = operator.received.find(([event]) => event === "session");
  const { username } = world.options;
  const guess = async (password) => {
    try {
      await world.operatorWith({ username, password });
    } catch (error) {
      return error.message;
    }
    throw new Error("a guess was right");
  };
  const peer = await world.peer();
  const guesses = Promise.all(Array.from({ length: 60 }, (_, count) => guess(`guess ${count}`)));
  await peer.ask("echo", "still there");
  const messages = new Set(await guesses);
  assert.deepEqual([...messages].sort(), REFUSALS);
  await (await world.operatorWith({ sessionId })).until("config");
}

export async function an_operator_who_does_not_read_is_closed(world) {
  const [operator, deaf] = [await world.operator(), await world.operator()];
  const { id } = deaf;
  const peer = await world.peer();
  deaf.socket.io.engine.transport.ws._socket.pause();
  let gone = false;
  const told = operator.until("socket_disconnected", "/admin", id).then(([, , reason]) => {
    gone = true;
    return reason;
  });
  // Shown whole, up to 64 KiB.
  while (!gone) await peer.ask("echo", "x".repeat(20_000));
  assert.equal(await told, "forced server close");
}

export async function words_that_are_none_do_no_harm(world) {
  const operator = await world.operator();
  for (const auth of [
    { username: "operator" },
    { username: 1, password: {} },
    { sessionId: ["a"] },
    { sessionId: {} },
  ]) {
    await assert.rejects(world.operatorWith(auth), { message: "invalid credentials" });
  }
  const peer = await world.peer();
  for (const event of [
    ["emit"],
    ["emit", "/", null],
    ["emit", "/", null, 7],
    ["emit", "/", null, "connect", 1],
    ["emit", "/nowhere", null, "note"],
    ["emit", { a: 1 }, null, "note"],
    ["join"],
    ["join", "/", 7],
    ["join", "/", { a: 1 }, ["b"]],
    ["leave", "/"],
    ["_disconnect", "/nowhere", true],
    ["_disconnect"],
    ["command", "_disconnect", "/", true],
    ["session", "0123"],
  ]) {
    operator.socket.emit(...event);
  }
  operator.socket.emit("emit", "/", peer.id, "note", "fence");
  assert.deepEqual(await peer.next(), ["note", "fence"]);
  await assert.rejects(world.operatorWith({ sessionId: "0123" }), { message: "invalid credentials" });
}
