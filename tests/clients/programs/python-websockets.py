"""The events of a stream over WebSocket, by websockets. The cursor of the last frame says where to go on."""

import asyncio
import json
import os
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

url, count = sys.argv[1].replace("http", "ws", 1), int(sys.argv[2])
headers = {"Authorization": "Bearer " + os.environ["WAKELINE_TOKEN"]}


async def main(count):
    resume = ""
    while count > 0:
        try:
            async with connect(url + resume, additional_headers=headers) as socket:
                async for text in socket:
                    frame = json.loads(text)
                    cursor = frame.get("cursor", "")
                    resume = "&last_event_id=" + cursor if cursor else resume
                    is_data = frame["type"] in ("event", "device", "deleted")
                    name = "message" if is_data else frame["type"]
                    data = frame["event"] if frame["type"] == "event" else frame
                    print(json.dumps({"event": name, "id": cursor, "data": data}), flush=True)
                    count -= is_data
                    if count == 0:
                        return
        except (ConnectionClosed, InvalidHandshake, OSError) as error:
            print(error, file=sys.stderr)
        await asyncio.sleep(0.5)


asyncio.run(main(count))
