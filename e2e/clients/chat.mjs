// People talk to each other on the page of the chat example, each in a browser
// of their own: chat.mjs.
//
// The page is at CHAT_URL. Pictures go to CHAT_PICTURES. When the script says
// "ready" the server is to be stopped, and when it says "lost" to be started
// again at the same address.

import assert from "node:assert/strict";
import { withBrowser } from "./chromium.mjs";

const { CHAT_URL, CHAT_PICTURES } = process.env;
const PHONE = { viewport: { width: 390, height: 780 }, deviceScaleFactor: 2, hasTouch: true };
const DESK = { viewport: { width: 1000, height: 680 } };

// Person is somebody at a page.
class Person {
  static async arrive(browser, name, options) {
    const person = new Person();
    person.page = await (await browser.newContext(options)).newPage();
    person.name = name;
    person.faults = [];
    person.page.on("pageerror", (error) => person.faults.push(String(error)));
    person.page.on("console", (m) => { if (m.type() === "error") person.faults.push(m.text()); });
    await person.page.goto(CHAT_URL);
    return person;
  }

  async join(room) {
    await this.page.getByLabel("Your name").fill(this.name);
    await this.page.getByLabel("Room").fill(room);
    await this.page.getByRole("button", { name: "Join" }).click();
  }

  async say(text) {
    await this.page.getByLabel("Message", { exact: true }).fill(text);
    await this.page.keyboard.press("Enter");
    await this.hears(text);
  }

  hears(text) { return this.page.getByText(text, { exact: true }).waitFor(); }

  // status waits until the page says that it is connected, or not.
  status(text) { return this.page.getByRole("status").filter({ hasText: text }).waitFor(); }

  heard() { return this.page.locator("#lines .said p").allTextContents(); }

  async picture(name) { await this.page.screenshot({ path: `${CHAT_PICTURES}/${name}.png` }); }

  // fits: nothing sticks out to the right, which a phone would scroll to.
  async fits() {
    const { scrollWidth, clientWidth } = await this.page.evaluate(() => document.documentElement);
    assert.equal(scrollWidth, clientWidth);
  }
}

await withBrowser(async (browser) => {
  const ada = await Person.arrive(browser, "Ada", { ...DESK, colorScheme: "light" });
  const bob = await Person.arrive(browser, "Bob", { ...PHONE, colorScheme: "dark" });
  const eve = await Person.arrive(browser, "Eve", { ...PHONE, colorScheme: "light" });
  await ada.picture("door-light");
  await bob.picture("door-phone-dark");

  // The server's word on a bad name is shown; then a good one goes through.
  ada.name = "***";
  await ada.join("lobby");
  await ada.hears("names are 1 to 32 letters, digits, spaces, _ . and -");
  await ada.picture("door-refused");
  ada.name = "Ada";
  await ada.join("lobby");
  await ada.status("connected");
  await bob.join("lobby");
  await ada.hears("Bob joined");
  await eve.join("elsewhere");
  await eve.status("connected");

  const talk = [
    [ada, "Hello Bob, can you read this?"],
    [bob, "Loud and clear. How many are we?"],
    [ada, "Two. The tick at my message says that it went to one other."],
    [ada, "<b>And this is text</b>, not markup & 漢字 🐍 too"],
    [bob, "A long one: " + "so that it wraps on a narrow screen ".repeat(6) + "x".repeat(80)],
    [bob, "Good."],
  ];
  for (const [who, text] of talk) {
    await who.say(text);
    await (who === ada ? bob : ada).hears(text);
  }
  const said = talk.map(([, text]) => text.trim());
  assert.deepEqual(await ada.heard(), said);
  assert.deepEqual(await bob.heard(), said);
  assert.deepEqual(await eve.heard(), []); // another room
  await ada.page.getByText("✓ 1").first().waitFor();
  await eve.say("Is anybody here?");
  await eve.page.getByText("nobody else is here").waitFor();
  await eve.picture("alone-phone-light");
  await ada.picture("chat-light");
  await bob.picture("chat-phone-dark");
  await ada.page.emulateMedia({ colorScheme: "dark" });
  await ada.picture("chat-dark");
  for (const person of [ada, bob, eve]) await person.fits();

  for (const person of [ada, bob, eve]) {
    assert.deepEqual(person.faults, []);
    person.faults.push = () => {}; // from here on, attempts to connect fail
  }
  console.log("ready");
  await Promise.all([ada, bob].map((p) => p.status("connecting")));
  await ada.picture("chat-lost");
  console.log("lost");
  await Promise.all([ada, bob].map((p) => p.status("connected")));
  await bob.say("And we are back.");
  await ada.hears("And we are back.");
});
