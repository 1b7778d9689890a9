"""Python's clients, each as a program: client.py KIND URL MODE COUNT WIDTH PAUSE_MS.

KIND is `http.client`, `requests` or `aiohttp`. MODE is `sequential` (GET /bytes/1000 with a pause
in between), `parallel` (WIDTH at a time), `upload` (POST /echo with a length, and an expectation
where the client has them), `stream` (the same, chunked), or `head`. Prints one JSON object: how many
requests were answered as they should be, and what went wrong. All peers here have this interface.
"""

import asyncio
import concurrent.futures
import http.client
import json
import sys
import time

KIND, URL, MODE = sys.argv[1:4]
COUNT, WIDTH, PAUSE = map(int, sys.argv[4:7])
CONTENT = (bytes(range(256)) + b"\r\n0\r\n\r\n") * 400
METHOD = {"upload": "POST", "stream": "POST", "head": "HEAD"}.get(MODE, "GET")
PATH = "/echo" if METHOD == "POST" else "/bytes/1000"
answered, failures = 0, []


def judge(status: int, length: str | None, content: bytes) -> None:
    global answered
    if METHOD == "POST":
        right = content == CONTENT
    elif METHOD == "HEAD":
        right = content == b"" and length == "1000"
    else:
        right = content == b"k" * 1000
    if status == 200 and right:
        answered += 1
    else:
        failures.append(f"status {status}, {len(content)} octets")


def pieces():
    for at in range(0, len(CONTENT), 10_000):
        yield CONTENT[at : at + 10_000]


def by_http_client() -> None:
    host = URL.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=10)
    for number in range(COUNT):
        if number:
            time.sleep(PAUSE / 1000)
        content = {"upload": CONTENT, "stream": pieces()}.get(MODE)
        try:
            connection.request(METHOD, PATH, content)
            response = connection.getresponse()
            judge(response.status, response.headers["Content-Length"], response.read())
        except (OSError, http.client.HTTPException) as error:
            # It never looks whether the connection is still there: that is left to its user, who
            # may ask again. Here it counts, except where the row is about just that.
            failures.append(repr(error))
            connection.close()
    connection.close()


def by_requests() -> None:
    import requests

    session = requests.Session()
    session.trust_env = False
    session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=WIDTH, pool_block=True))

    def one(number: int) -> None:
        if number and PAUSE:
            time.sleep(PAUSE / 1000)
        content = {"upload": CONTENT, "stream": pieces()}.get(MODE)
        try:
            response = session.request(METHOD, URL + PATH, data=content, timeout=10)
            judge(response.status_code, response.headers.get("Content-Length"), response.content)
        except requests.RequestException as error:
            failures.append(repr(error))

    if MODE == "parallel":
        with concurrent.futures.ThreadPoolExecutor(WIDTH) as pool:
            list(pool.map(one, range(COUNT)))
    else:
        for number in range(COUNT):
            one(number)
    session.close()


async def by_aiohttp() -> None:
    import aiohttp

    async def stream():
        for piece in pieces():
            yield piece

    async def one(number: int) -> None:
        if number and PAUSE:
            await asyncio.sleep(PAUSE / 1000)
        content = {"upload": CONTENT, "stream": stream() if MODE == "stream" else None}.get(MODE)
        expect = METHOD == "POST"
        try:
            async with session.request(METHOD, URL + PATH, data=content, expect100=expect) as response:
                length = response.headers.get("Content-Length")
                judge(response.status, length, await response.read())
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
            failures.append(repr(error))

    connector = aiohttp.TCPConnector(limit=WIDTH)
    timeout = aiohttp.ClientTimeout(10)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        if MODE == "parallel":
            await asyncio.gather(*map(one, range(COUNT)))
        else:
            for number in range(COUNT):
                await one(number)


if KIND == "http.client":
    by_http_client()
elif KIND == "requests":
    by_requests()
else:
    asyncio.run(by_aiohttp())
print(json.dumps({"answered": answered, "failures": failures}))
