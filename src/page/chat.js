// The chat page: what is on the screen, and the chat protocol's words for it.
//
// The server remembers nothing of a connection that is gone, so this page does:
// after a reconnect it says its name and joins its rooms again.

import { Socket } from "/page/socket.js";

const MESSAGES_MAX = 500;
const NAMES_MS = 30000;
const FIRST_ROOM = "lobby";

const $ = (id) => document.getElementById(id);
const path = document.querySelector("meta[name=socket-path]").content;
const scheme = location.protocol === "https:" ? "wss" : "ws";
const socket = new Socket(`${scheme}://${location.host}${path}?EIO=4&transport=websocket`);

// Name of a room -> { people: Map of id -> name, messages: [element], unread }.
const rooms = new Map();
const names = new Map();
let current = null;
let me = null;

/* The connection. */

socket.on("connect", async ({ sid }) => {
  me = sid;
  names.clear();
  show("connected");
  await attempt(async () => {
    await ask("name", name());
    const wanted = rooms.size ? [...rooms.keys()] : [remembered("room") || FIRST_ROOM];
    for (const room of wanted) await enter(room, () => ask("join", room));
    select(rooms.has(current) ? current : wanted[0]);
  });
});

socket.on("disconnect", () => {
  show("disconnected");
  for (const room of rooms.keys()) remark(room, "The connection was lost: what was said from here on is missing.");
});
socket.on("refused", ({ message }) => complain(message));
socket.on("error_message", (refusal) => complain(refusal.error ?? "refused"));

// The first argument of the ack, or an exception that says why not.
async function ask(...event) {
  const answer = await socket.ask(...event);
  if (!answer.ok) throw new Error(answer.error);
  return answer;
}

// Runs what a person has asked for, and shows why it failed, if it does.
async function attempt(action) {
  complain("");
  try {
    await action();
  } catch (error) {
    complain(error.message);
  }
}

/* Rooms. */

// `go` brings us into the room; from the list that `watch` returns on, notices
// tell who comes and goes.
async function enter(room, go) {
  await go();
  if (!rooms.has(room)) rooms.set(room, { people: new Map(), messages: [], unread: 0 });
  const { members } = await ask("watch", room);
  const here = rooms.get(room);
  here.people = new Map(members.map(({ id, name }) => [id, known(id, name)]));
  drawRooms();
  drawPeople();
}

async function join(room) {
  if (!rooms.has(room)) await enter(room, () => ask("join", room));
  select(room);
}

// One step on the server: no message finds us in both rooms or in neither.
async function switchTo(room) {
  const previous = current;
  if (room === previous) return;
  await enter(room, () => ask("switch", previous, room));
  await forget(previous);
  select(room);
}

async function leave() {
  const room = current;
  await ask("leave", room);
  await forget(room);
  select(rooms.keys().next().value ?? null);
}

async function forget(room) {
  rooms.delete(room);
  await ask("unwatch", room);
}

function select(room) {
  current = room;
  if (room) {
    rooms.get(room).unread = 0;
    remember("room", room);
  }
  drawRooms();
  drawPeople();
  drawMessages();
  $("say").focus();
}

socket.on("presence", ({ room, changes }) => {
  const here = rooms.get(room);
  if (!here) return;
  for (const [sign, id] of changes) {
    if (sign === "+") here.people.set(id, known(id));
    else here.people.delete(id);
    if (id !== me) note(room, id, sign === "+" ? "came" : "left");
  }
  drawPeople();
  // Notices have ids alone; who is new is asked for.
  if (changes.some(([sign, id]) => sign === "+" && !names.has(id))) refresh(room);
});

socket.on("typing", ({ room }) => refresh(room));

async function refresh(room) {
  const { members } = await ask("members", room).catch(() => ({ members: [] }));
  for (const { id, name } of members) {
    known(id, name);
    const here = rooms.get(room);
    if (here?.people.has(id)) here.people.set(id, known(id));
  }
  for (const { messages } of rooms.values()) {
    for (const line of messages) drawFrom(line);
  }
  drawPeople();
}

function known(id, name) {
  if (typeof name === "string" && name) names.set(id, name);
  return names.get(id) ?? id.slice(0, 6);
}

/* Messages. */

socket.on("message", ({ room, from, body, seq }) => {
  const line = message(from, body);
  drawSeq(line, seq);
  add(room, line);
  // Who was named after we looked, or has another name by now.
  if (!names.has(from)) refresh(room);
});

async function say(text) {
  const room = current;
  const line = message(me, text);
  line.classList.add("own", "pending");
  drawFrom(line);
  add(room, line);
  try {
    // Its ack has its place in the room's order.
    const { seq } = await ask("message", { room, body: text });
    drawSeq(line, seq);
    place(room, line, seq);
  } catch (error) {
    line.classList.add("failed");
    complain(`not sent: ${error.message}`);
  }
  line.classList.remove("pending");
}

function message(from, body) {
  const line = document.createElement("li");
  line.dataset.from = from;
  const text = typeof body === "string" ? body : JSON.stringify(body);
  line.append(span("from", ""), span("seq", ""), span("body", text));
  drawFrom(line);
  return line;
}

function note(room, id, what) {
  const line = remark(room, ` ${what}`);
  line.dataset.from = id;
  line.prepend(span("who", known(id)));
}

function remark(room, text) {
  const line = document.createElement("li");
  line.className = "event";
  line.append(text);
  add(room, line);
  return line;
}

function add(room, line) {
  const here = rooms.get(room);
  if (!here) return;
  here.messages.push(line);
  if (here.messages.length > MESSAGES_MAX) here.messages.shift().remove();
  if (room === current) {
    $("messages").append(line);
    line.scrollIntoView({ block: "end" });
  } else if (!line.classList.contains("event")) {
    here.unread++;
    drawRooms();
  }
}

// Ours went on the screen before others that the room has ordered before it.
function place(room, line, seq) {
  const here = rooms.get(room);
  const at = here?.messages.indexOf(line) ?? -1;
  if (at < 0) return;
  const before = (other) => Number(other.dataset.seq) < seq;
  const last = here.messages.findLastIndex((other) => other !== line && before(other));
  if (last <= at) return;
  here.messages.splice(at, 1);
  here.messages.splice(last, 0, line);
  if (room === current) here.messages[last - 1].after(line);
}

/* The screen. Text is set as text, never as HTML. */

function span(kind, text) {
  const element = document.createElement("span");
  element.className = kind;
  element.textContent = text;
  return element;
}

function hue(id) {
  let mixed = 0x811c9dc5;
  for (const character of id) mixed = Math.imul(mixed ^ character.codePointAt(0), 0x01000193);
  return String(((mixed ^ (mixed >>> 15)) >>> 0) % 360);
}

function drawFrom(line) {
  const id = line.dataset.from;
  const who = line.querySelector(".from, .who");
  if (!who) return;
  who.textContent = line.classList.contains("own") ? name() : known(id);
  line.style.setProperty("--hue", hue(id));
}

function drawSeq(line, seq) {
  line.dataset.seq = seq;
  line.querySelector(".seq").textContent = `#${seq}`;
}

function drawRooms() {
  $("rooms").replaceChildren(...[...rooms].map(([room, { unread }]) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.append(span("room", room));
    if (unread) button.append(span("unread", String(unread)));
    if (room === current) button.setAttribute("aria-current", "true");
    button.onclick = () => select(room);
    item.append(button);
    return item;
  }));
  $("room-title").textContent = current ?? "No room";
  for (const id of ["say", "leave", "join"]) $(id).disabled = !socket.connected || (!current && id !== "join");
}

function drawPeople() {
  const people = [...(rooms.get(current)?.people ?? [])];
  const shown = people.map(([id]) => [id, id === me ? name() : known(id)]);
  shown.sort((a, b) => a[1].localeCompare(b[1]));
  $("count").textContent = people.length ? `· ${people.length}` : "";
  $("people").replaceChildren(...shown.map(([id, called]) => {
    const item = document.createElement("li");
    item.style.setProperty("--hue", hue(id));
    item.append(span("called", called));
    if (id === me) item.append(span("you", "you"));
    return item;
  }));
}

function drawMessages() {
  $("messages").replaceChildren(...(rooms.get(current)?.messages ?? []));
  $("messages").lastElementChild?.scrollIntoView({ block: "end" });
}

function show(state) {
  $("state").dataset.state = state;
  $("state").textContent = state === "disconnected" ? "reconnecting" : state;
  drawRooms();
}

function complain(text) {
  $("notice").textContent = text;
  $("notice").hidden = !text;
}

/* What a person does. */

function onSubmit(form, input, action) {
  $(form).addEventListener("submit", (event) => {
    event.preventDefault();
    const text = $(input).value.trim();
    if (text) attempt(() => action(text, event.submitter));
    $(input).value = "";
  });
}

onSubmit("join-form", "join", (room, button) =>
  button?.value === "switch" && current ? switchTo(room) : join(room));
onSubmit("say-form", "say", say);
$("name-form").addEventListener("submit", (event) => {
  event.preventDefault();
  $("name").blur();
});
$("name").addEventListener("change", () => attempt(async () => {
  remember("name", name());
  drawPeople();
  if (!socket.connected) return;
  await ask("name", name());
  // The protocol has no notice for a new name; this one makes pages look it up.
  for (const room of rooms.keys()) socket.emit("typing", room);
}));
// It is volatile, and other clients do not send it.
setInterval(() => socket.connected && current && refresh(current), NAMES_MS);
$("leave").addEventListener("click", () => attempt(leave));

function name() {
  return $("name").value.trim() || "somebody";
}

// Private windows may have no storage.
function remember(key, value) {
  try {
    sessionStorage.setItem(key, value);
  } catch { /* It is forgotten then. */ }
}

function remembered(key) {
  try {
    return sessionStorage.getItem(key);
  } catch {
    return null;
  }
}

$("name").value = remembered("name") ?? `guest-${Math.random().toString(36).slice(2, 6)}`;
drawRooms();
