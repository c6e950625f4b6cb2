// The status page in Chromium, with clients of npm's ws on the server. Each
// check fails by throwing. WSD_PICTURES=DIR gets what the page looked like,
// WSD_LINGER=SECONDS lets its charts fill before.

import assert from "node:assert/strict";
import http from "node:http";
import path from "node:path";
import WebSocket from "ws";
import { withBrowser } from "../clients/chromium.mjs";

const admin = process.env.WSD_ADMIN, url = process.env.WSD_URL, token = process.env.WSD_TOKEN;
const pictures = process.env.WSD_PICTURES, linger = Number(process.env.WSD_LINGER || 0) * 1000;
const sleep = ms => new Promise(done => setTimeout(done, ms));

// until polls for what the page should say.
async function until(what, holds) {
  for (const end = Date.now() + 20000; ;) {
    const got = await holds();
    if (got === true) return;
    if (Date.now() > end) throw new Error(`waited in vain until ${what}: ${got}`);
    await sleep(50);
  }
}
const says = (page, selector, expression) => until(`${selector} says ${expression}`, async () => {
  const text = await page.locator(selector).innerText();
  return expression.test(text) || text;
});

// client is one WebSocket client that beats its heart.
function client() {
  const s = new WebSocket(url);
  s.got = [];
  s.on("message", m => s.got.push(m.toString()));
  s.on("error", () => {});
  s.on("close", (code, reason) => { s.closed = `${code} ${reason}`; clearInterval(s.beat); });
  return new Promise((done, failed) => {
    s.once("error", failed);
    s.on("open", () => {
      s.send('{"actioncode":"subscribe","data":{"topics":["news"]}}');
      s.beat = setInterval(() => s.send('{"actioncode":"heart_beat"}'), 200);
      done(s);
    });
  });
}

// open shows the page and notes what should never happen.
async function open(context, wrong) {
  const page = await context.newPage();
  page.on("pageerror", e => wrong.push(`error: ${e.message}`));
  page.on("console", m => { if (m.type() === "error" && !/status of 40[014] /.test(m.text())) wrong.push(`console: ${m.text()}`); });
  page.on("request", r => { if (!r.url().startsWith(admin) && !r.url().startsWith("data:")) wrong.push(`outside request: ${r.url()}`); });
  await page.goto(admin + "/");
  if (token) {
    await page.fill("#token", token);
    await page.click("text=Use token");
  }
  await says(page, "#state", /^ready$/);
  return page;
}

async function figures(page, crowd) {
  await says(page, "[data-chart=clients] .figure", new RegExp(`^${crowd.length}$`));
  await says(page, "[data-chart=beats] .figure", /^[1-9]/);
  await says(page, "[data-chart=memory] .figure", /B$/);
  await says(page, "#about", /127\.0\.0\.1/);
  crowd.pop().terminate();
  crowd.pop().close(1000);
  await says(page, "#closes", /vanished|reset/);
  await says(page, "#closes", /peer/);
}

async function publish(page, crowd) {
  await page.fill("#message", "Grüße an alle");
  await page.click("#publish button");
  await says(page, "#published", new RegExp(`^${crowd.length} matched: ${crowd.length} sent`));
  await until("all have it", () => crowd.every(c => c.got.includes("Grüße an alle")));
  await page.selectOption("#kind", "topic");
  await page.fill("#name", "nobody is here");
  await page.fill("#deadline", "5");
  await page.click("#publish button");
  await says(page, "#published", /deadline needs a number with its unit/);
  await page.fill("#deadline", "5s");
  await page.fill("#coalesce", "price");
  await page.click("#publish button");
  await says(page, "#published", /^0 matched/);
  await page.fill("#name", "news");
  await page.uncheck("#wait");
  await page.click("#publish button");
  await says(page, "#published", /^accepted$/);
  await says(page, "[data-chart=fanout] .figure", /s$/);
}

async function clients(page, crowd) {
  await page.click("#more");
  await until("the list is full", async () => await page.locator("#list li").count() === Math.min(crowd.length, 50));
  await page.locator("#list button").first().click();
  await says(page, "#details", /news/);
  await page.fill("#code", "4001");
  await page.fill("#reason", "because");
  await page.click("#close button");
  await says(page, "#looked", /^closed [0-9a-f-]{36}$/);
  await until("one client was closed", () => crowd.some(c => c.closed === "4001 because"));
  await page.click("#lookup button.main");
  await says(page, "#looked", /no client has the id/);
}

async function consoleWorks(page) {
  assert.equal(await page.inputValue("#url"), url);
  await page.click("#connect");
  await says(page, "#log", /open/);
  await page.click("#send");
  await says(page, "#log", /"client_id":"[0-9a-f-]{36}".*"actioncode":"whoami","seq":1/);
  await page.fill("#action", "subscribe");
  await page.fill("#data", '{"topics":["weather"]}');
  await page.click("#send");
  await says(page, "#log", /"data":\["weather"\]/);
  await page.fill("#data", "{");
  await page.click("#send");
  await says(page, "#log", /data is no JSON/);
  await page.fill("#data", "");
  await page.click("#connect");
  await says(page, "#log", /closed: 1000/);
}

// policy: the page itself cannot reach anything else.
async function policy(context) {
  const page = await context.newPage();
  await page.goto(admin + "/");
  const blocked = await page.evaluate(async () => {
    const violations = [];
    addEventListener("securitypolicyviolation", e => violations.push(e.effectiveDirective));
    await fetch("https://example.org/").catch(() => {});
    document.body.append(Object.assign(document.createElement("script"), { textContent: "window.ran = true" }));
    document.body.append(Object.assign(document.createElement("img"), { src: "https://example.org/x.png" }));
    await new Promise(done => setTimeout(done, 200));
    return [window.ran === undefined, ...violations.sort()];
  });
  assert.deepEqual(blocked, [true, "connect-src", "img-src", "script-src-elem"]);
  await page.close();
}

// attack: a page elsewhere tries all that a browser lets it.
async function attack(context, crowd) {
  const evil = http.createServer((_, w) => w.setHeader("Content-Type", "text/html").end("<body>"));
  await new Promise(done => evil.listen(0, "127.0.0.1", done));
  const page = await context.newPage();
  await page.goto(`http://localhost:${evil.address().port}/`);
  const result = await page.evaluate(async admin => {
    const tried = {};
    const to = admin + "/v1/publish?all";
    tried.simple = await fetch(to, { method: "POST", mode: "no-cors", body: "EVIL" }).then(r => r.type, () => "failed");
    tried.json = await fetch(to, { method: "POST", headers: { "Content-Type": "application/json" }, body: "EVIL" }).then(() => "read", () => "failed");
    tried.read = await fetch(admin + "/v1/clients").then(() => "read", () => "failed");
    navigator.sendBeacon(to, "EVIL");
    const frame = document.body.appendChild(document.createElement("iframe"));
    frame.name = "f";
    const form = document.body.appendChild(document.createElement("form"));
    Object.assign(form, { action: to, method: "POST", enctype: "text/plain", target: "f" });
    form.append(Object.assign(document.createElement("input"), { name: "EVIL", value: "EVIL" }));
    form.submit();
    await new Promise(done => setTimeout(done, 500));
    return tried;
  }, admin);
  assert.equal(result.json, "failed");
  assert.equal(result.read, "failed");
  await page.evaluate(admin => { location.href = admin + "/"; }, admin); // a link is fine
  await page.waitForSelector("h1");
  await page.close();
  evil.close();
  evil.closeAllConnections();
  assert.ok(!crowd.some(c => c.got.some(text => text.includes("EVIL"))), "a page elsewhere has published");
}

async function picture(page, name) {
  const wide = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(wide[0] <= wide[1], `${name}: ${wide[0]} pixels of content in a window of ${wide[1]}`);
  if (pictures) await page.screenshot({ path: path.join(pictures, name + ".png"), fullPage: true });
}

await withBrowser(async browser => {
  const crowd = await Promise.all(Array.from({ length: 25 }, client));
  const wrong = [];
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, colorScheme: "light" });
  const page = await open(context, wrong);
  await figures(page, crowd);
  await publish(page, crowd);
  for (const end = Date.now() + linger; Date.now() < end; await sleep(3000)) {
    await page.click("#publish button");
    if (crowd.length < 45) crowd.push(await client());
  }
  await clients(page, crowd);
  await consoleWorks(page);
  await page.locator("#list button").nth(1).click();
  await says(page, "#details", /news/);
  for (const scheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme: scheme });
    for (const [name, width] of [["wide", 1280], ["tablet", 760], ["phone", 390], ["small", 320]]) {
      await page.setViewportSize({ width, height: 850 });
      await sleep(100);
      await picture(page, `${name}-${scheme}`);
    }
  }
  await policy(context);
  if (!token) await attack(context, crowd);
  crowd.forEach(c => c.terminate());
  assert.deepEqual(wrong, []);
});
