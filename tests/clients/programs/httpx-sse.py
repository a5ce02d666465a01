"""The events of a stream, by httpx and httpx-sse. The id and the wait are kept as its documentation shows."""

import json
import os
import sys
import time

import httpx
from httpx_sse import connect_sse

url, count = sys.argv[1], int(sys.argv[2])
headers = {"Authorization": "Bearer " + os.environ["WAKELINE_TOKEN"]}
last_event_id, retry = "", 1.0

with httpx.Client(timeout=httpx.Timeout(10, read=60)) as client:
    while count > 0:
        resume = {"Last-Event-ID": last_event_id} if last_event_id else {}
        try:
            with connect_sse(client, "GET", url, headers={**headers, **resume}) as source:
                source.response.raise_for_status()
                for event in source.iter_sse():
                    last_event_id = event.id or last_event_id
                    retry = event.retry / 1000 if event.retry is not None else retry
                    seen = {"event": event.event, "id": event.id, "data": json.loads(event.data)}
                    print(json.dumps(seen), flush=True)
                    count -= event.event == "message"
                    if count == 0:
                        break
        except httpx.TransportError as error:
            print(error, file=sys.stderr)
        if count > 0:
            time.sleep(retry)
