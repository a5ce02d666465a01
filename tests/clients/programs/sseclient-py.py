"""The events of a stream, by requests and sseclient-py, which leave it to their caller to connect again."""

import json
import os
import sys
import time

import requests
import sseclient

url, count = sys.argv[1], int(sys.argv[2])
headers = {"Authorization": "Bearer " + os.environ["WAKELINE_TOKEN"], "Accept": "text/event-stream"}
retry = 1.0

while count > 0:
    try:
        with requests.get(url, headers=headers, stream=True, timeout=(10, 60)) as response:
            response.raise_for_status()
            for event in sseclient.SSEClient(response).events():
                if event.id:
                    headers["Last-Event-ID"] = event.id
                if event.retry:
                    retry = int(event.retry) / 1000
                seen = {"event": event.event, "id": event.id or "", "data": json.loads(event.data)}
                print(json.dumps(seen), flush=True)
                count -= event.event == "message"
                if count == 0:
                    break
    except requests.RequestException as error:
        print(error, file=sys.stderr)
    if count > 0:
        time.sleep(retry)
