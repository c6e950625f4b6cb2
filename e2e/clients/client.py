"""Checks of a wsd server by Python's websockets: client.py CHECK.

Where the server is comes in the environment, see serve in ../clients_test.go.
"""

import asyncio
import json
import os
import sys
import urllib.request
import uuid

from websockets.exceptions import ConnectionClosed, InvalidStatusCode
from websockets.frames import OP_TEXT
from websockets.legacy.client import connect, unix_connect

WSD, ECHO, ADMIN = (os.environ.get("WSD_" + name) for name in ("URL", "ECHO", "ADMIN"))
LIMIT = int(os.environ.get("WSD_LIMIT", 0))

HEARTBEAT = '{"actioncode":"heart_beat"}'
ALIVE = '{"code":0,"msg":"success","data":true,"actioncode":"heart_beat"}'

# The library would wait that long for the server to hang up after a close, and
# then do it itself. The check as a whole must not take so long.
PATIENCE = 300


def open_(url=None, **options):
    options.setdefault("ping_interval", None)
    return connect(url or WSD, close_timeout=PATIENCE, max_size=None, **options)


def same(got, want):
    if got != want:
        raise AssertionError(f"got {got!r:.200}, want {want!r:.200}")


async def beat(ws):
    await ws.send(HEARTBEAT)
    same(await ws.recv(), ALIVE)


async def ask(ws, **request):
    await ws.send(json.dumps(request))
    return json.loads(await ws.recv())


async def closed(ws, code):
    """Waits for the server to close, in the proper way and with this code."""
    try:
        while True:
            await ws.recv()
    except ConnectionClosed as end:
        if end.rcvd is None:
            raise AssertionError(f"the connection was lost (1006), want {code}") from end
        same(end.rcvd.code, code)
    await ws.wait_closed()


async def publish(target, body, kind="text/plain"):
    def post():
        request = urllib.request.Request(f"{ADMIN}/v1/publish?{target}", body, {"Content-Type": kind}, method="POST")
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    return await asyncio.to_thread(post)


async def heartbeat():
    async with open_() as ws:
        for _ in range(10):
            await beat(ws)
        await ws.send(HEARTBEAT.encode())  # in a binary message
        same(await ws.recv(), ALIVE)


async def actions():
    async with open_() as ws:
        who = await ask(ws, actioncode="whoami", seq=1)
        same((who["code"], who["seq"], uuid.UUID(who["data"]["client_id"]).version), (0, 1, 4))
        data = {"nested": [1, 2.5, None, "\u00fc\U0001f40d"]}
        same(await ask(ws, actioncode="echo", data=data, seq="b"),
             {"code": 0, "msg": "success", "data": data, "actioncode": "echo", "seq": "b"})
        same((await ask(ws, actioncode="nothing_like_it"))["code"], 5)
        same((await ask(ws, actioncode="heart_beat", is_broadcast=True))["code"], 9)
        await ws.send("this is no JSON")
        same(json.loads(await ws.recv())["code"], 1)
        await beat(ws)


async def echo():
    async with open_(ECHO) as ws:
        for size in (0, 1, 125, 126, 127, 4095, 4096, 4097, 65535, 65536, LIMIT):
            data = os.urandom(size)
            await ws.send(data)
            same(await ws.recv(), data)
            text = ("\u00e9\u6f22\U0001f40d" * (size // 9 + 1)).encode()[:size].decode(errors="ignore")
            await ws.send(text)
            same(await ws.recv(), text)


async def fragments():
    async with open_(ECHO) as ws:
        async def parts():
            for part in ("one ", "", "two ", "h\u00e9llo"):
                yield part
                await (await ws.ping())  # between the fragments, and answered there

        await ws.send(parts())
        same(await ws.recv(), "one two h\u00e9llo")
        data = [os.urandom(n) for n in (0, 1, 130, 40000, 3)]
        await ws.send(data)
        same(await ws.recv(), b"".join(data))


async def ping():
    async with open_() as ws:
        for data in (b"", b"x", b"0123456789" * 12 + b"12345"):
            await (await ws.ping(data))
        await beat(ws)
    # The library's own keepalive closes a connection whose pongs fail.
    async with open_(ping_interval=0.02, ping_timeout=10) as ws:
        for _ in range(10):
            await asyncio.sleep(0.02)
            await beat(ws)


async def server_pings():
    async with open_() as ws:
        three, answer, count = asyncio.Event(), ws.pong, 0

        async def pong(data=b""):
            nonlocal count
            count += 1
            if count == 3:
                three.set()
            await answer(data)

        ws.pong = pong  # the library calls it for every ping it gets
        await three.wait()
        await beat(ws)


async def client_closes():
    for code in (1000, 1001, 1008, 1011, 3000, 4999):
        ws = await open_()
        await beat(ws)
        await ws.close(code, "bye, \u00fc")
        same(ws.close_code, code)


async def protocol_error():
    for frame in (
        b"\x81\x02hi",  # not masked
        b"\xc1\x80\0\0\0\0",  # RSV1 without an extension
        b"\x83\x80\0\0\0\0",  # a reserved opcode
        b"\x80\x80\0\0\0\0",  # a continuation of nothing
        b"\x09\x80\0\0\0\0",  # a fragmented ping
        b"\x89\xfe\x00\x7e\0\0\0\0",  # a ping of 126 bytes
        b"\x88\x81\0\0\0\0\x03",  # a close with half a code
        b"\x88\x82\0\0\0\0\x03\xed",  # a close with code 1005
    ):
        ws = await open_()
        ws.transport.write(frame)
        await closed(ws, 1002)


async def invalid_utf8():
    for data in (b"\xff", b"ok \xed\xa0\x80", b"\xc0\xaf", b"cut \xf0\x9f\x90"):
        ws = await open_(ECHO)
        await ws.write_frame(True, OP_TEXT, data)
        await closed(ws, 1007)


async def too_big():
    for size in (LIMIT + 1, 8 << 20):
        ws = await open_(ECHO)
        try:
            await ws.send(os.urandom(size))
        except ConnectionClosed:
            pass  # it was told in the middle of sending
        await closed(ws, 1009)
    ws = await open_(ECHO)
    try:
        await ws.send([bytes(LIMIT // 2), bytes(LIMIT // 2), b"1"])
    except ConnectionClosed:
        pass
    await closed(ws, 1009)


async def ping_flood():
    ws = await open_()
    for _ in range(500):
        ws.transport.write(b"\x89\x80\0\0\0\0")
    await closed(ws, 1008)


async def subprotocol_first():
    async with open_(subprotocols=["chat.v9", "chat.v1"]) as ws:
        same(ws.subprotocol, "chat.v9")
    async with open_() as ws:
        same(ws.subprotocol, None)


async def subprotocol_listed():
    async with open_(subprotocols=["chat.v9", "chat.v1", "chat.v2"]) as ws:
        same(ws.subprotocol, "chat.v1")
        await beat(ws)
    async with open_(subprotocols=["chat.v9"]) as ws:
        same(ws.subprotocol, None)


async def deflate():
    async with open_(ECHO, compression="deflate") as ws:
        same(ws.request_headers["Sec-WebSocket-Extensions"].split(";")[0], "permessage-deflate")
        same((ws.extensions, "Sec-WebSocket-Extensions" in ws.response_headers), ([], False))
        await ws.send("a" * 10000)
        same(await ws.recv(), "a" * 10000)


async def publish_():
    async with open_() as one, open_() as two, open_() as three:
        same((await ask(one, actioncode="subscribe", data={"topics": ["news", "w\u00fcrfel"]}))["data"], ["news", "w\u00fcrfel"])
        same((await ask(two, actioncode="subscribe", data={"topics": ["news"]}))["data"], ["news"])
        result = await publish("topic=news&topic=w%C3%BCrfel", "to the topics \u2713".encode())
        same((result["matched"], result["dropped"]), (2, 0))
        same([await one.recv(), await two.recv()], ["to the topics \u2713"] * 2)
        client = (await ask(three, actioncode="whoami"))["data"]["client_id"]
        same((await publish("client=" + client, b"\0\xff\x80", "application/octet-stream"))["matched"], 1)
        same(await three.recv(), b"\0\xff\x80")
        large = b"x" * 300_000
        same((await publish("all", large))["matched"], 3)
        same([await ws.recv() for ws in (one, two, three)], [large.decode()] * 3)
        same((await ask(two, actioncode="unsubscribe", data={"topics": ["news"]}))["data"], [])
        same((await publish("topic=news", b"for one"))["matched"], 1)
        same(await one.recv(), "for one")
        await asyncio.gather(*map(beat, (one, two, three)))  # nobody got anything else


async def crowd():
    sockets = await asyncio.gather(*(open_() for _ in range(200)))

    async def talk(number, ws):
        for turn in range(10):
            answer = await ask(ws, actioncode="echo", data=[number, turn], seq=turn)
            same((answer["data"], answer["seq"]), ([number, turn], turn))

    await asyncio.gather(*(talk(n, ws) for n, ws in enumerate(sockets)))
    same((await publish("all", b"all of you"))["matched"], 200)
    same(await asyncio.gather(*(ws.recv() for ws in sockets)), ["all of you"] * 200)
    await asyncio.gather(*(ws.close() for ws in sockets))
    same({ws.close_code for ws in sockets}, {1000})


async def burst():
    async with open_(ECHO, max_queue=None) as ws:
        sent = [str(n) * (n % 50) for n in range(5000)]
        sending = asyncio.ensure_future(send_all(ws, sent))
        same([await ws.recv() for _ in sent], sent)
        await sending


async def send_all(ws, messages):
    for message in messages:
        await ws.send(message)


async def refused_with(status, **options):
    try:
        ws = await open_(**options)
    except InvalidStatusCode as refusal:
        same(refusal.status_code, status)
        return refusal.headers
    await ws.close()
    raise AssertionError(f"connected, want status {status}")


async def not_found():
    await refused_with(404, url=WSD + "-not")


async def refused():
    async with open_() as ws:
        headers = await refused_with(503)
        wait = int(headers["Retry-After"])
        same(7 <= wait <= 14, True)
        await beat(ws)


async def origins():
    await refused_with(403, origin="https://evil.example")
    async with open_(origin="https://good.example") as ws:
        await beat(ws)


async def unix_socket():
    async with unix_connect(os.environ["WSD_SOCKET"], "ws://localhost/ws", ping_interval=None, close_timeout=PATIENCE) as ws:
        await beat(ws)


async def going_away(code):
    sockets = await asyncio.gather(*(open_() for _ in range(50)))
    await asyncio.gather(*map(beat, sockets))
    print("ready", flush=True)
    await asyncio.gather(*(closed(ws, code) for ws in sockets))


async def shutdown():
    await going_away(1001)


async def restart():
    await going_away(1012)


async def chat():
    async with open_() as ada, open_() as bob:
        await beat(ada)
        same((await ask(bob, actioncode="chat_say", data={"room": "den", "name": "Bob", "text": "hi"}))["code"], 9)
        same((await ask(bob, actioncode="chat_join", data={"room": "", "name": "Bob"}))["code"], 1)
        join = {"actioncode": "chat_join", "data": {"room": "den", "name": "Ada"}}
        ada_joined, bob_joined = ({"event": "joined", "room": "den", "name": name} for name in ("Ada", "Bob"))
        same(await ask(ada, **join), ada_joined)
        same(json.loads(await ada.recv())["data"], 1)
        join["data"]["name"] = "Bob"
        same(await ask(bob, **join), bob_joined)
        same(json.loads(await bob.recv())["data"], 2)
        same(json.loads(await ada.recv()), bob_joined)
        said = {"event": "said", "room": "den", "name": "Bob", "text": "h\u00fch"}
        same(await ask(bob, actioncode="chat_say", data=said), said)
        same(json.loads(await bob.recv())["data"], 2)
        same(json.loads(await ada.recv()), said)


if __name__ == "__main__":
    CHECKS = {function.__name__.rstrip("_"): function for function in (
        heartbeat, actions, echo, fragments, ping, server_pings, client_closes, protocol_error, invalid_utf8, too_big,
        ping_flood, subprotocol_first, subprotocol_listed, deflate, publish_, crowd, burst, not_found, refused, origins,
        unix_socket, shutdown, restart, chat)}
    asyncio.run(CHECKS[sys.argv[1]]())
