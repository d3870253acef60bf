"""The worker: carries changes from the outbox to Elasticsearch, in the background, for as long as the server runs.

Each instance of the server has one, and each carries what it finds. Nothing is written by halves for that: a change
that two of them carry, or one of them twice, is the same document with the same version.
"""

import threading
import traceback

import index
import outbox
import rebuild
from elastic import Refused
from web import Problem

PAUSE = 0.5  # seconds until it looks again by itself: for what another instance left, and after a failure

woken = threading.Event()
ready = False  # whether there has been an index since the server started


def wake():
    """There is something in the outbox. Who made the change need not wait."""
    woken.set()


def start():
    """Looks once before anybody is served, so that a search finds its index from the first request on."""
    carry_or_tell()
    threading.Thread(target=run, daemon=True).start()


def run():
    while True:
        woken.wait(PAUSE)
        woken.clear()
        while carry_or_tell():
            pass


def carry_or_tell():
    """Whether there may be more. Elasticsearch or PostgreSQL may be away: then the change waits in the outbox."""
    try:
        return carry()
    except (Problem, Refused) as problem:
        print(f"The search is not up to date: {problem}", flush=True)
    except Exception:
        traceback.print_exc()
    return False


def carry():
    global ready
    changes = outbox.waiting()
    if not changes and ready:
        return False
    # Only now, after the outbox: an index that is made later begins with what PostgreSQL has by then.
    targets = where_to_write()
    ready = True
    events = {str(change["id"]): change for change in changes}  # each once: all its changes have its newest state
    failed = index.write(events.values(), targets, refresh=True) if events else set()
    outbox.done([change for change in changes if str(change["id"]) not in failed])
    return bool(changes) and not failed


def where_to_write():
    """Behind the alias, and into an index that is being made: what it has from PostgreSQL may be older."""
    indices = index.all_with_aliases()
    if not any(index.ALIAS in aliases for aliases in indices.values()):
        rebuild.make_if_missing()
        indices = index.all_with_aliases()
    return [index.ALIAS, *(name for name, aliases in indices.items() if index.NEXT in aliases)]
