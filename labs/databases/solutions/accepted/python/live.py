"""The live stream. A change is published in Redis, so the clients of every server hear of it.

A server has one connection that listens, however many clients it has: a thread that puts each message into the
mailboxes of those who asked for this event.
"""

import json
import queue
import threading
import time
from collections import defaultdict

import hot
from views import must_exist
from web import Stream, route

CHANNEL = "changes"
HEARTBEAT = 1  # seconds; writing to a client that has gone away fails, and so its stream ends

lock = threading.Lock()
mailboxes = defaultdict(set)  # event -> the mailboxes of its listeners


def announce(redis, event, name, seat):
    """Tells the listeners at all servers, this one among them. `redis` may be a pipeline."""
    redis.publish(CHANNEL, json.dumps([event, name, seat]))


def start():
    """Listens from now on, for as long as the server runs."""
    listening = threading.Event()
    threading.Thread(target=listen, args=[listening], daemon=True).start()
    listening.wait(1)


def listen(listening):
    while True:
        try:
            with hot.client.pubsub(ignore_subscribe_messages=True) as channel:
                channel.subscribe(CHANNEL)
                listening.set()
                while True:
                    message = channel.get_message(timeout=HEARTBEAT)
                    if message:
                        deliver(*json.loads(message["data"]))
        except hot.GONE:
            time.sleep(0.3)  # Redis is away; what is announced meanwhile is lost


def deliver(event, name, seat):
    with lock:
        for mailbox in mailboxes.get(event, ()):
            mailbox.put((name, {"seat": seat}))


@route("GET", "/events/{id}/live")
def live(request, id):
    must_exist(id)
    return Stream(changes_of(id))


def changes_of(event):
    mailbox = queue.SimpleQueue()
    with lock:
        mailboxes[event].add(mailbox)
    try:
        yield None
        while True:
            try:
                yield mailbox.get(timeout=HEARTBEAT)
            except queue.Empty:
                yield None
    finally:
        with lock:
            mailboxes[event].discard(mailbox)
            if not mailboxes[event]:
                del mailboxes[event]
