"""How long we wait for a service that says nothing."""

import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

helpers = ThreadPoolExecutor(max_workers=100)


@contextmanager
def cut_after(connection, seconds):
    """Breaks the connection if the block takes longer: a service that says nothing must not hold us for ever."""
    line = socket.socket(fileno=os.dup(connection.fileno()))
    timer = threading.Timer(seconds, line.shutdown, [socket.SHUT_RDWR])
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        line.close()


def meanwhile(work, *arguments):
    """Begins the work at once, in another thread. What is returned, when it is called, waits for its result.

    So a request that asks two services waits for both at the same time, not for one after the other.
    """
    return helpers.submit(work, *arguments).result
