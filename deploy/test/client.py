#!/usr/bin/python3
"""A client of another make, Python's websockets, for the tests of the package.

client.py URL         one heart_beat, answered
client.py URL FILE    stays, with a heart_beat each 50 ms, until FILE is there; fails
                      if the connection ends or an answer is missing before that
"""
import asyncio
import json
import os
import sys

import websockets

PATIENCE = 20


async def beat(ws):
    await ws.send('{"actioncode":"heart_beat"}')
    answer = json.loads(await asyncio.wait_for(ws.recv(), PATIENCE))
    if answer.get("code") != 0 or answer.get("actioncode") != "heart_beat":
        sys.exit(f"answered {answer}")


async def main(url, end=None):
    async with websockets.connect(url, open_timeout=PATIENCE) as ws:
        await beat(ws)
        beats = 1
        if end:
            open(end + ".connected", "w").close()
        while end and not os.path.exists(end):
            await asyncio.sleep(0.05)
            await beat(ws)
            beats += 1
    print(f"client: {beats} heart beats answered")


try:
    asyncio.run(main(*sys.argv[1:]))
except (OSError, websockets.exceptions.WebSocketException) as e:
    sys.exit(f"client: {type(e).__name__}: {e}")
