"""Whole exchanges on a kept connection of h11's: the best of many, in nanoseconds, by input.

Reads {name: [request, ...]} as JSON from standard input, octets as Latin-1, and answers with
{name: nanoseconds}.
"""

import json
import sys
import time

import h11

SECONDS = 2
BATCH = 8
RESPONSE = h11.Response(
    status_code=200, headers=[("Content-Type", "text/plain"), ("Content-Length", "13")]
)
CONTENT = h11.Data(data=b"Hello, World!")
END = h11.EndOfMessage()


def exchange(connection, request):
    connection.receive_data(request)
    while True:
        event = connection.next_event()
        if type(event) is h11.EndOfMessage:
            break
    connection.send(RESPONSE)
    # h11 takes no content in answer to HEAD.
    if not request.startswith(b"HEAD"):
        connection.send(CONTENT)
    connection.send(END)
    connection.start_next_cycle()


def best(requests):
    """The best of each batch of a few, together: batches stay shorter than a time slice."""
    connection = h11.Connection(h11.SERVER)
    batches = [requests[i : i + BATCH] for i in range(0, len(requests), BATCH)]
    least = [float("inf")] * len(batches)
    until = time.perf_counter() + SECONDS
    while time.perf_counter() < until:
        for n, batch in enumerate(batches):
            begin = time.perf_counter_ns()
            for request in batch:
                exchange(connection, request)
            least[n] = min(least[n], time.perf_counter_ns() - begin)
    return sum(least) / len(requests)


inputs = json.load(sys.stdin)
json.dump(
    {name: best([r.encode("latin-1") for r in requests]) for name, requests in inputs.items()},
    sys.stdout,
)
