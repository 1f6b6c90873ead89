// A small Socket.IO client: Engine.IO protocol 4 over a WebSocket, Socket.IO
// protocol 5, the namespace `/`. Text only; no polling, no binary, no recovery.
//
// Every Engine.IO message begins with one digit:
//   0 open {"pingInterval",..}   2 ping   3 pong   4 message
// and every message (4) is a Socket.IO packet, which begins with another:
//   0 connect   1 disconnect   2 event [name, ...]   3 ack [...]   4 refused
// An event may have a number before its JSON, which its ack repeats.

const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 5000;
const ACK_MS = 10000;

export class Socket {
  // What to do when an event of that name comes.
  #listeners = new Map();
  // Who waits for the ack of which number.
  #waiting = new Map();
  #number = 0;
  #attempts = 0;
  #stream = null;
  #silence = null;
  connected = false;

  constructor(url) {
    this.url = url;
    this.#dial();
  }

  // Besides the server's events: `connect`, `disconnect`, `refused`.
  on(name, listener) {
    this.#listeners.set(name, listener);
  }

  // Emits an event without an ack; what is said while there is no connection is lost.
  emit(...event) {
    if (this.connected) this.#stream.send("42" + JSON.stringify(event));
  }

  // Emits an event and resolves to the first argument of its ack.
  ask(...event) {
    if (!this.connected) return Promise.reject(new Error("not connected"));
    const number = this.#number++;
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => this.#settle(number, null), ACK_MS);
      this.#waiting.set(number, { resolve, reject, late });
      this.#stream.send(`42${number}${JSON.stringify(event)}`);
    });
  }

  #dial() {
    const stream = new WebSocket(this.url);
    this.#stream = stream;
    stream.onmessage = ({ data }) => this.#hear(data);
    stream.onclose = () => this.#end(stream);
  }

  #hear(data) {
    if (typeof data !== "string") return;
    switch (data[0]) {
      case "0": {
        const open = JSON.parse(data.slice(1));
        this.patience = open.pingInterval + open.pingTimeout;
        this.#stream.send("40");
        break;
      }
      case "2":
        this.#stream.send("3" + data.slice(1));
        break;
      case "4":
        this.#packet(data[1], data.slice(2));
        break;
    }
    this.#listenFor(this.patience);
  }

  // A server that says nothing for so long, not even a ping, is gone.
  #listenFor(patience) {
    clearTimeout(this.#silence);
    const stream = this.#stream;
    this.#silence = setTimeout(() => this.#end(stream), patience);
  }

  #packet(kind, rest) {
    const [, digits, json] = /^(\d*)(.*)$/s.exec(rest);
    switch (kind) {
      case "0":
        this.connected = true;
        this.#attempts = 0;
        this.#tell("connect", JSON.parse(json));
        break;
      case "1":
        this.#stream.close();
        break;
      case "2":
        this.#tell(...JSON.parse(json));
        break;
      case "3":
        this.#settle(Number(digits), JSON.parse(json));
        break;
      case "4":
        this.#tell("refused", JSON.parse(json));
        break;
    }
  }

  #settle(number, args) {
    const waiting = this.#waiting.get(number);
    if (!waiting) return;
    this.#waiting.delete(number);
    clearTimeout(waiting.late);
    if (args) waiting.resolve(args[0]);
    else waiting.reject(new Error("no answer"));
  }

  #tell(name, ...args) {
    this.#listeners.get(name)?.(...args);
  }

  // Comes back by itself, each time a little later, and never all clients at once.
  #end(stream) {
    if (stream !== this.#stream) return;
    this.#stream = null;
    clearTimeout(this.#silence);
    stream.onmessage = stream.onclose = null;
    stream.close();
    const was = this.connected;
    this.connected = false;
    for (const number of [...this.#waiting.keys()]) this.#settle(number, null);
    if (was) this.#tell("disconnect");
    const wait = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** this.#attempts++);
    setTimeout(() => this.#dial(), wait * (0.5 + Math.random()));
  }
}
