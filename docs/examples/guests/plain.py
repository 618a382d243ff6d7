"""Takes a seat with nothing but Python: offers what is spare at its worth. Run it with SEAT_URL and SEAT_TOKEN set."""

import json
import os
import time
import urllib.error
import urllib.request


def call(path: str, body: dict | None = None) -> tuple[int, dict]:
    data = None if body is None else json.dumps(body).encode()
    headers = {"authorization": f"Bearer {os.environ['SEAT_TOKEN']}", "content-type": "application/json"}
    try:
        with urllib.request.urlopen(urllib.request.Request(os.environ["SEAT_URL"] + path, data, headers)) as answer:
            return answer.status, json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"{}")
    except OSError:
        return 503, {}


seen = 0
while (found := call(f"/v1/observation?round={seen + 1}"))[0] != 410:
    if found[0] != 200:  # 204: nothing new yet; 503: the run was stopped, and may go on
        time.sleep(0.2)
        continue
    seen, stock = found[1]["round"], found[1]["own"]["stock"]
    orders = [{"side": "sell", "good": s["good"], "price": s["worth"], "quantity": s["spare"]} for s in stock if s["spare"]]
    print(seen, call("/v1/decision", {"round": seen, "decision_id": "one", "orders": orders[:3], "say": "fair prices"}))
print(call("/v1/fills?since=0")[1])
