// Checks of a wsd server by npm's ws: client.mjs CHECK.
//
// Where the server is comes in the environment, see serve in ../clients_test.go.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import WebSocket from "ws";

const { WSD_URL, WSD_ECHO, WSD_ADMIN, WSD_SOCKET } = process.env;
const LIMIT = Number(process.env.WSD_LIMIT);

const HEARTBEAT = '{"actioncode":"heart_beat"}';
const ALIVE = '{"code":0,"msg":"success","data":true,"actioncode":"heart_beat"}';

// Socket is a WebSocket whose messages are waited for: text as strings, binary
// as Buffers. Its end is never a surprise: closed() has to be asked for it.
class Socket {
  #messages = [];
  #waiting = [];
  #end;

  static async open(url = WSD_URL, protocols = [], options = {}) {
    const socket = new Socket();
    const ws = socket.ws = new WebSocket(url, protocols, { maxPayload: 0, closeTimeout: 300_000, ...options });
    ws.on("message", (data, binary) => socket.#deliver(binary ? data : data.toString()));
    ws.on("error", (error) => { socket.error = error; });
    socket.#end = new Promise((resolve) => ws.on("close", (code, reason) => resolve({ code, reason: String(reason) })));
    ws.on("upgrade", (response) => { socket.response = response; });
    await once(ws, "open");
    return socket;
  }

  #deliver(message) {
    const waiting = this.#waiting.shift();
    if (waiting) waiting(message);
    else this.#messages.push(message);
  }

  receive() {
    if (this.#messages.length) return this.#messages.shift();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  send(message, options) { this.ws.send(message, options); }

  async ask(request) {
    this.send(JSON.stringify(request));
    return JSON.parse(await this.receive());
  }

  async beat() {
    this.send(HEARTBEAT);
    assert.equal(await this.receive(), ALIVE);
  }

  // closed waits for the end, which has to come with this code.
  async closed(code) {
    const end = await this.#end;
    assert.equal(end.code, code, `closed with ${end.code} ${end.reason} (${this.error}), want ${code}`);
  }

  async close(code, reason) {
    this.ws.close(code, reason);
    await this.closed(code ?? 1005);
  }

  // raw writes bytes past the library.
  raw(...bytes) { this.ws._socket.write(Buffer.from(bytes)); }
}

async function publish(target, body, type = "text/plain") {
  const answer = await fetch(`${WSD_ADMIN}/v1/publish?${target}`, { method: "POST", body, headers: { "Content-Type": type } });
  assert.equal(answer.status, 200);
  return answer.json();
}

// refusedWith waits for an answer that is no upgrade.
function refusedWith(status, url, options) {
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(url, options);
    ws.on("open", () => reject(new Error(`connected, want status ${status}`)));
    ws.on("error", reject);
    ws.on("unexpected-response", (request, response) => {
      request.destroy();
      ws.removeAllListeners("error").on("error", () => {});
      resolve(response);
      if (response.statusCode !== status) reject(new Error(`status ${response.statusCode}, want ${status}`));
    });
  });
}

const crowdOf = (n) => Promise.all(Array.from({ length: n }, () => Socket.open()));

async function goingAway(code) {
  const sockets = await crowdOf(50);
  await Promise.all(sockets.map((s) => s.beat()));
  console.log("ready");
  await Promise.all(sockets.map((s) => s.closed(code)));
}

const checks = {
  async heartbeat() {
    const s = await Socket.open();
    for (let i = 0; i < 10; i++) await s.beat();
    s.send(Buffer.from(HEARTBEAT)); // in a binary message
    assert.equal(await s.receive(), ALIVE);
    await s.close(1000);
  },

  async actions() {
    const s = await Socket.open();
    const who = await s.ask({ actioncode: "whoami", seq: 1 });
    assert.equal(who.seq, 1);
    assert.match(who.data.client_id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    const data = { nested: [1, 2.5, null, "ü🐍"] };
    assert.deepEqual(await s.ask({ actioncode: "echo", data, seq: "b" }),
      { code: 0, msg: "success", data, actioncode: "echo", seq: "b" });
    assert.equal((await s.ask({ actioncode: "nothing_like_it" })).code, 5);
    assert.equal((await s.ask({ actioncode: "heart_beat", is_broadcast: true })).code, 9);
    s.send("this is no JSON");
    assert.equal(JSON.parse(await s.receive()).code, 1);
    await s.beat();
    await s.close(1000);
  },

  async echo() {
    const s = await Socket.open(WSD_ECHO);
    for (const size of [0, 1, 125, 126, 127, 4095, 4096, 4097, 65535, 65536, LIMIT]) {
      const data = randomBytes(size);
      s.send(data);
      assert.deepEqual(await s.receive(), data);
      const text = "é漢🐍".repeat(Math.floor(size / 9)) + "a".repeat(size % 9);
      s.send(text);
      assert.equal(await s.receive(), text);
    }
    await s.close(1000);
  },

  async fragments() {
    const s = await Socket.open(WSD_ECHO);
    for (const part of ["one ", "", "two "]) {
      s.send(part, { fin: false });
      s.ws.ping("between"); // the fragments, and answered there
      assert.equal(String((await once(s.ws, "pong"))[0]), "between");
    }
    s.send("héllo", { fin: true });
    assert.equal(await s.receive(), "one two héllo");
    const data = [0, 1, 130, 40000, 3].map((n) => randomBytes(n));
    data.forEach((part, i) => s.send(part, { fin: i === data.length - 1 }));
    assert.deepEqual(await s.receive(), Buffer.concat(data));
    await s.close(1000);
  },

  async ping() {
    const s = await Socket.open();
    for (const data of ["", "x", "0123456789".repeat(12) + "12345"]) {
      s.ws.ping(data);
      assert.equal(String((await once(s.ws, "pong"))[0]), data);
    }
    s.ws.pong("unasked");
    await s.beat();
    await s.close(1000);
  },

  async server_pings() {
    const s = await Socket.open();
    for (let i = 0; i < 3; i++) await once(s.ws, "ping"); // ws answers them itself
    await s.beat();
    await s.close(1000);
  },

  async client_closes() {
    for (const code of [1000, 1001, 1008, 1011, 3000, 4999, undefined]) {
      const s = await Socket.open();
      await s.beat();
      await s.close(code, code && "bye, ü");
    }
  },

  async protocol_error() {
    for (const frame of [
      [0x81, 2, 0x68, 0x69], // not masked
      [0xc1, 0x80, 0, 0, 0, 0], // RSV1 without an extension
      [0x83, 0x80, 0, 0, 0, 0], // a reserved opcode
      [0x80, 0x80, 0, 0, 0, 0], // a continuation of nothing
      [0x09, 0x80, 0, 0, 0, 0], // a fragmented ping
      [0x89, 0xfe, 0, 126, 0, 0, 0, 0], // a ping of 126 bytes
      [0x88, 0x81, 0, 0, 0, 0, 3], // a close with half a code
      [0x88, 0x82, 0, 0, 0, 0, 3, 0xed], // a close with code 1005
    ]) {
      const s = await Socket.open();
      s.raw(...frame);
      await s.closed(1002);
    }
  },

  async invalid_utf8() {
    for (const data of [[0xff], [0x6f, 0xed, 0xa0, 0x80], [0xc0, 0xaf], [0x63, 0xf0, 0x9f, 0x90]]) {
      const s = await Socket.open(WSD_ECHO);
      s.send(Buffer.from(data), { binary: false });
      await s.closed(1007);
    }
  },

  async too_big() {
    for (const size of [LIMIT + 1, 8 << 20]) {
      const s = await Socket.open(WSD_ECHO);
      s.send(Buffer.alloc(size));
      await s.closed(1009);
    }
    const s = await Socket.open(WSD_ECHO);
    s.send(Buffer.alloc(LIMIT / 2), { fin: false });
    s.send(Buffer.alloc(LIMIT / 2), { fin: false });
    s.send(Buffer.alloc(1), { fin: true });
    await s.closed(1009);
  },

  async ping_flood() {
    const s = await Socket.open();
    for (let i = 0; i < 500; i++) s.ws.ping();
    await s.closed(1008);
  },

  async subprotocol_first() {
    const s = await Socket.open(WSD_URL, ["chat.v9", "chat.v1"]);
    assert.equal(s.ws.protocol, "chat.v9");
    await s.close(1000);
    const none = await Socket.open();
    assert.equal(none.ws.protocol, "");
    await none.close(1000);
  },

  async subprotocol_listed() {
    const s = await Socket.open(WSD_URL, ["chat.v9", "chat.v1", "chat.v2"]);
    assert.equal(s.ws.protocol, "chat.v1");
    await s.beat();
    await s.close(1000);
    // With nothing in common the server names none, which ws does not take.
    await assert.rejects(Socket.open(WSD_URL, ["chat.v9"]), /no subprotocol/);
  },

  async deflate() {
    let offered;
    const finishRequest = (request) => { offered = request.getHeader("sec-websocket-extensions"); request.end(); };
    const s = await Socket.open(WSD_ECHO, [], { perMessageDeflate: { threshold: 0 }, finishRequest });
    assert.match(offered, /^permessage-deflate/);
    assert.equal(s.response.headers["sec-websocket-extensions"], undefined);
    assert.equal(s.ws.extensions, "");
    s.send("a".repeat(10000));
    assert.equal(await s.receive(), "a".repeat(10000));
    await s.close(1000);
  },

  async publish() {
    const [one, two, three] = await crowdOf(3);
    assert.deepEqual((await one.ask({ actioncode: "subscribe", data: { topics: ["news", "würfel"] } })).data, ["news", "würfel"]);
    assert.deepEqual((await two.ask({ actioncode: "subscribe", data: { topics: ["news"] } })).data, ["news"]);
    const result = await publish("topic=news&topic=w%C3%BCrfel", "to the topics ✓");
    assert.deepEqual([result.matched, result.dropped], [2, 0]);
    for (const s of [one, two]) assert.equal(await s.receive(), "to the topics ✓");
    const client = (await three.ask({ actioncode: "whoami" })).data.client_id;
    const binary = Buffer.from([0, 0xff, 0x80]);
    assert.equal((await publish("client=" + client, binary, "application/octet-stream")).matched, 1);
    assert.deepEqual(await three.receive(), binary);
    const large = "x".repeat(300_000);
    assert.equal((await publish("all", large)).matched, 3);
    for (const s of [one, two, three]) assert.equal(await s.receive(), large);
    assert.deepEqual((await two.ask({ actioncode: "unsubscribe", data: { topics: ["news"] } })).data, []);
    assert.equal((await publish("topic=news", "for one")).matched, 1);
    assert.equal(await one.receive(), "for one");
    await Promise.all([one, two, three].map((s) => s.beat())); // nobody got anything else
    await Promise.all([one, two, three].map((s) => s.close(1000)));
  },

  async crowd() {
    const sockets = await crowdOf(200);
    await Promise.all(sockets.map(async (s, number) => {
      for (let turn = 0; turn < 10; turn++) {
        const answer = await s.ask({ actioncode: "echo", data: [number, turn], seq: turn });
        assert.deepEqual([answer.data, answer.seq], [[number, turn], turn]);
      }
    }));
    assert.equal((await publish("all", "all of you")).matched, 200);
    for (const s of sockets) assert.equal(await s.receive(), "all of you");
    await Promise.all(sockets.map((s) => s.close(1000)));
  },

  async burst() {
    const s = await Socket.open(WSD_ECHO);
    const sent = Array.from({ length: 5000 }, (_, n) => String(n).repeat(n % 50));
    for (const message of sent) s.send(message);
    for (const message of sent) assert.equal(await s.receive(), message);
    await s.close(1000);
  },

  async not_found() {
    await refusedWith(404, WSD_URL + "-not");
  },

  async refused() {
    const s = await Socket.open();
    const wait = Number((await refusedWith(503, WSD_URL)).headers["retry-after"]);
    assert.ok(wait >= 7 && wait <= 14, `Retry-After: ${wait}`);
    await s.beat();
    await s.close(1000);
  },

  async origins() {
    await refusedWith(403, WSD_URL, { origin: "https://evil.example" });
    const s = await Socket.open(WSD_URL, [], { origin: "https://good.example" });
    await s.beat();
    await s.close(1000);
  },

  async unix_socket() {
    const s = await Socket.open(`ws+unix:${WSD_SOCKET}:/ws`);
    await s.beat();
    await s.close(1000);
  },

  shutdown: () => goingAway(1001),
  restart: () => goingAway(1012),

  async chat() {
    const [ada, bob] = await crowdOf(2);
    await ada.beat();
    assert.equal((await bob.ask({ actioncode: "chat_say", data: { room: "den", name: "Bob", text: "hi" } })).code, 9);
    assert.equal((await bob.ask({ actioncode: "chat_join", data: { room: "", name: "Bob" } })).code, 1);
    const joined = (name) => ({ event: "joined", room: "den", name });
    assert.deepEqual(await ada.ask({ actioncode: "chat_join", data: { room: "den", name: "Ada" } }), joined("Ada"));
    assert.equal(JSON.parse(await ada.receive()).data, 1);
    assert.deepEqual(await bob.ask({ actioncode: "chat_join", data: { room: "den", name: "Bob" } }), joined("Bob"));
    assert.equal(JSON.parse(await bob.receive()).data, 2);
    assert.deepEqual(JSON.parse(await ada.receive()), joined("Bob"));
    const said = { event: "said", room: "den", name: "Bob", text: "hüh" };
    assert.deepEqual(await bob.ask({ actioncode: "chat_say", data: said }), said);
    assert.equal(JSON.parse(await bob.receive()).data, 2);
    assert.deepEqual(JSON.parse(await ada.receive()), said);
    await Promise.all([ada, bob].map((s) => s.close(1000)));
  },
};

await checks[process.argv[2]]();
