"""Sales, in transactions of MongoDB."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pymongo import MongoClient
from pymongo.errors import PyMongoError

client = MongoClient(os.environ["MONGODB_URL"], serverSelectionTimeoutMS=2000)
database = client.get_default_database()


def sell(name):
    """The status of the answer."""
    with client.start_session() as session:
        return session.with_transaction(lambda session: take(name, session))


def take(name, session):
    thing = database.stock.find_one({"name": name}, session=session)
    if thing is None or thing["left"] < 1:
        return 409
    database.stock.update_one({"name": name}, {"$set": {"left": thing["left"] - 1}}, session=session)
    database.sales.insert_one({"name": name}, session=session)
    return 201


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.say(204, None)

    def do_POST(self):
        try:
            status = sell(self.path.rpartition("/")[2])
        except PyMongoError as error:
            self.say(503, {"code": "unavailable", "message": str(error)})
            return
        self.say(status, {"code": "sold_out", "message": "All were sold."} if status == 409 else {})

    def say(self, status, body):
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        if body is not None:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128


if __name__ == "__main__":
    Server(("127.0.0.1", int(os.environ.get("PORT", "8080"))), Handler).serve_forever()
