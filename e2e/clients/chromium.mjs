// The browser, for the scripts beside this one.

import { chromium } from "playwright-core";

export const PATH = process.env.CHROMIUM ?? "/usr/bin/chromium";

// withBrowser runs f with a fresh browser (playwright gives it an empty
// profile), which is gone afterwards.
export async function withBrowser(f) {
  const browser = await chromium.launch({
    executablePath: PATH,
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
  try {
    await f(browser);
  } finally {
    await browser.close();
  }
}
