// Checks of a wsd server by Chromium's own WebSocket: browser.mjs CHECK.
//
// Where the server is comes in the environment, see serve in ../clients_test.go.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { once } from "node:events";
import { withBrowser } from "./chromium.mjs";

const { WSD_URL, WSD_ECHO } = process.env;
const LIMIT = Number(process.env.WSD_LIMIT);

// helper runs in the page: a WebSocket whose messages and end can be awaited.
function helper() {
  window.open_ = (url, protocols = []) => new Promise((resolve, reject) => {
    const ws = new WebSocket(url, protocols), messages = [], waiting = [];
    ws.binaryType = "arraybuffer";
    ws.onmessage = ({ data }) => (waiting.shift() ?? ((m) => messages.push(m)))(data);
    ws.receive = () => messages.length ? Promise.resolve(messages.shift()) : new Promise((r) => waiting.push(r));
    ws.ended = new Promise((r) => { ws.onclose = ({ code, reason, wasClean }) => r({ code, reason, wasClean }); });
    ws.onerror = () => reject(new Error("no connection to " + url));
    ws.onopen = () => resolve(ws);
  });
}

const checks = {
  async heartbeat(page) {
    const got = await page.evaluate(async (url) => {
      const ws = await open_(url), got = [];
      for (let i = 0; i < 3; i++) {
        ws.send('{"actioncode":"heart_beat"}');
        got.push(await ws.receive());
      }
      ws.close();
      return { got, end: await ws.ended };
    }, WSD_URL);
    assert.deepEqual(got.got, Array(3).fill('{"code":0,"msg":"success","data":true,"actioncode":"heart_beat"}'));
    assert.deepEqual(got.end, { code: 1005, reason: "", wasClean: true });
  },

  // Chromium always offers permessage-deflate.
  async echo(page) {
    const wrong = await page.evaluate(async ([url, limit]) => {
      const ws = await open_(url);
      if (ws.extensions !== "") return "extensions: " + ws.extensions;
      for (const size of [0, 1, 125, 126, 127, 65535, limit]) {
        const data = new Uint8Array(size).map((_, i) => i * 7 + size);
        ws.send(data);
        const back = new Uint8Array(await ws.receive());
        if (back.length !== size || back.some((b, i) => b !== data[i])) return "binary " + size;
        const text = "é漢🐍".repeat(Math.floor(size / 9)) + "a".repeat(size % 9);
        ws.send(text);
        if (await ws.receive() !== text) return "text " + size;
      }
      return "";
    }, [WSD_ECHO, LIMIT]);
    assert.equal(wrong, "");
  },

  async burst(page) {
    const order = await page.evaluate(async (url) => {
      const ws = await open_(url), order = [];
      for (let i = 0; i < 3000; i++) ws.send(String(i));
      for (let i = 0; i < 3000; i++) order.push(Number(await ws.receive()));
      return order;
    }, WSD_ECHO);
    assert.deepEqual(order, Array.from({ length: 3000 }, (_, i) => i));
  },

  async client_closes(page) {
    for (const code of [1000, 3000, 4999]) {
      const end = await page.evaluate(async ([url, code]) => {
        const ws = await open_(url);
        ws.close(code, "bye");
        return ws.ended;
      }, [WSD_URL, code]);
      assert.deepEqual([end.code, end.wasClean], [code, true]);
    }
  },

  async too_big(page) {
    for (const size of [LIMIT + 1, 8 << 20]) {
      const end = await page.evaluate(async ([url, size]) => {
        const ws = await open_(url);
        ws.send(new Uint8Array(size));
        return ws.ended;
      }, [WSD_ECHO, size]);
      assert.deepEqual([end.code, end.wasClean], [1009, true]);
    }
  },

  async subprotocol_first(page) {
    const protocol = await page.evaluate(async (url) => (await open_(url, ["chat.v9", "chat.v1"])).protocol, WSD_URL);
    assert.equal(protocol, "chat.v9");
  },

  async refused(page) {
    await assert.rejects(page.evaluate((url) => open_(url), WSD_URL + "-not"), /no connection/);
  },

  // The browser tells where the page is from, and no script can change it.
  async origins(page) {
    await assert.rejects(page.evaluate((url) => open_(url), WSD_URL), /no connection/);
  },

  async shutdown(page) { await goingAway(page, 1001); },
  async restart(page) { await goingAway(page, 1012); },
};

// Five, because Chromium makes a page wait that opens more at once.
async function goingAway(page, code) {
  await page.evaluate(async (url) => { window.sockets = await Promise.all(Array.from({ length: 5 }, () => open_(url))); }, WSD_URL);
  console.log("ready");
  const ends = await page.evaluate(() => Promise.all(sockets.map((ws) => ws.ended)));
  for (const end of ends) assert.deepEqual([end.code, end.wasClean], [code, true]);
}

// A page has to come from somewhere.
const somewhere = createServer((_, response) => response.setHeader("Content-Type", "text/html").end("<!doctype html>"));
somewhere.listen(0, "127.0.0.1");
await once(somewhere, "listening");
await withBrowser(async (browser) => {
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${somewhere.address().port}/`);
  await page.evaluate(helper);
  await checks[process.argv[2]](page);
});
somewhere.closeAllConnections();
somewhere.close();
