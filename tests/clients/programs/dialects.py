"""The WebSockets of a dialect, by websockets. Usage: dialects.py DIALECT BASE ASKS"""

import asyncio
import json
import os
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

dialect, base, asks = sys.argv[1], sys.argv[2].replace("http", "ws", 1), sys.argv[3]
token = os.environ["WAKELINE_TOKEN"]
bearer = {"Authorization": "Bearer " + token}
device = "yard/van"


async def follow(name, url, first=(), headers=None):
    """Tells what comes; with asks, goes on from the last cursor after each end."""
    resume = asks
    while True:
        try:
            async with connect(base + url + resume, additional_headers=headers) as socket:
                for message in first:
                    await socket.send(json.dumps(message))
                async for text in socket:
                    frame = json.loads(text)
                    if "cursor" in frame:
                        resume = "cursor=1&since=" + frame["cursor"]
                    print(json.dumps({"event": name, "data": frame}), flush=True)
        except (ConnectionClosed, InvalidHandshake, InvalidMessage, EOFError, OSError) as error:
            print(name, repr(error), file=sys.stderr)
        await asyncio.sleep(0.3)


def realtime():
    yield follow(
        "Realtime",
        f"/realtime?api_key={token}&",
        [{"type": "subscribe", "hardwareIds": [device]}],
    )


def controller():
    yield follow("Commands", "/ws/controller/device/yard%2Fvan/command?", headers=bearer)
    yield follow("Location", "/ws/loci/location/spot-yard-van/?", headers=bearer)
    yield follow("Locations", "/ws/loci/location/?", headers=bearer)


def watch():
    yield follow("Watch", f"/v1/projects/yard/devices/van/watch?token={token}&")


def filter():
    yield follow("Filter", "/api/v2/ws?", [{"filter": "n >= 0"}], headers=bearer)


def telemetry():
    yield follow("Telemetry", f"/api/v1/customer/telemetry/stream?token={token}&")
    subscribe = {"action": "subscribe", "type": "device", "device_id": device}
    yield follow("Legacy", f"/api/v2/ws?token={token}&", [subscribe])


async def main():
    dialects = [realtime, controller, watch, filter, telemetry]
    chosen = next(each for each in dialects if each.__name__ == dialect)
    await asyncio.gather(*chosen())


asyncio.run(main())
