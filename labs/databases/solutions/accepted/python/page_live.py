"""The live stream of a page. MongoDB says what comes into `page_history`, whoever puts it there.

A server has one change stream, however many clients listen, and none while nobody does: a thread that puts each version
into the mailboxes of those who listen to its page. Nothing that it has missed is lost, since it is in `page_history`:
whenever the change stream was opened anew, each listener first reads there what comes after its last version.
"""

import queue
import threading
import time
from collections import defaultdict

import pymongo
from pymongo.errors import PyMongoError

import documents
import pages
from web import Problem, Stream, route

HEARTBEAT = 1  # seconds; writing to a client that has gone away fails, and so its stream ends
SILENCE = 2.0  # seconds without a word of MongoDB, which says each second that there is nothing new
PAUSE = 0.2  # seconds between two tries
BATCH = 100
LOOK = object()  # in a mailbox: the change stream is a new one, so look for what came before it
NEW_VERSIONS = [
    {"$match": {"operationType": "insert", "fullDocument.page": {"$type": "string"}}},
    {"$project": {"fullDocument.page": 1, "fullDocument.version": 1, "fullDocument.title": 1}},
]

lock = threading.Lock()
mailboxes = defaultdict(set)  # page -> the mailboxes of its listeners
hearing = False  # whether the thread runs


@route("GET", "/pages/{page}/live")
def live(request, page):
    last = version_of(request.headers.get("Last-Event-ID", ""))
    with documents.reachable() as db:
        pages.must_exist(db, page)
        if last is None:
            last = newest(db, page)
    return Stream(versions_of(page, last))


def version_of(text):
    """The version that a Last-Event-ID names; what names none is taken as none."""
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 19 else -1
    return number if 0 <= number <= pages.LARGEST_VERSION else None


def newest(db, page):
    found = db.page_history.find_one({"page": page}, {"version": 1}, sort=[("version", -1)])
    return found["version"] if found else 0


def versions_of(page, last):
    """The versions after `last`, each once and in order."""
    mailbox = queue.SimpleQueue()
    mailbox.put(LOOK)  # what has come by now, nobody puts into it
    listen(page, mailbox)
    try:
        yield None
        while True:
            try:
                found = mailbox.get(timeout=HEARTBEAT)
            except queue.Empty:
                yield None
                continue
            for version in later(page, last) if found is LOOK else [found]:
                if version is None:
                    yield None
                elif version["version"] > last:
                    last = version["version"]
                    yield "version", {"version": last, "title": version["title"]}, last
    finally:
        forget(page, mailbox)


def later(page, last):
    """The versions after `last` that are in MongoDB; None each time it cannot be reached."""
    while True:
        try:
            with documents.reachable() as db:
                found = db.page_history.find({"page": page, "version": {"$gt": last}}, {"version": 1, "title": 1})
                found = list(found.sort("version", 1).limit(BATCH))
        except Problem:
            yield None
            time.sleep(PAUSE)
            continue
        yield from found
        if len(found) < BATCH:
            return
        last = found[-1]["version"]


# --- the thread that hears of new versions -----------------------------------------------------------------------


def listen(page, mailbox):
    global hearing
    with lock:
        mailboxes[page].add(mailbox)
        if not hearing:
            hearing = True
            threading.Thread(target=hear, daemon=True).start()


def forget(page, mailbox):
    with lock:
        mailboxes[page].discard(mailbox)
        if not mailboxes[page]:
            del mailboxes[page]


def hear():
    """Hears of new versions until nobody listens any more."""
    while somebody_listens():
        try:
            with pymongo.timeout(documents.PATIENCE):
                stream = documents.database.page_history.watch(NEW_VERSIONS, max_await_time_ms=1000 * HEARTBEAT)
            with stream:
                tell(LOOK)
                while stream.alive and mailboxes:
                    with pymongo.timeout(SILENCE):
                        change = stream.try_next()
                    if change:
                        tell(change["fullDocument"])
        except PyMongoError:
            time.sleep(PAUSE)


def somebody_listens():
    """If nobody does, the thread is said to have ended, at the same moment."""
    global hearing
    with lock:
        hearing = bool(mailboxes)
        return hearing


def tell(found):
    """Puts a version into the mailboxes of those who listen to its page, and LOOK into all."""
    with lock:
        for page in mailboxes if found is LOOK else {found["page"]} & mailboxes.keys():
            for mailbox in mailboxes[page]:
                mailbox.put(found)
