"""Drives the application of tests/features through its features with the stock Python client.

    python features.py URL

What it speaks is set in the environment: TRANSPORTS, in order of preference. Prints one line per
check, and a last one with their count; the exit code is 0 if all of them hold.
"""

import faulthandler
import os
import queue
import sys
import threading
import traceback
import uuid

import engineio.payload
import socketio

PATIENCE_S = 10
CHECK_S_MAX = 20
TRANSPORTS = os.environ.get("TRANSPORTS", "websocket").split(",")
URL = sys.argv[1]

# A poll with more packets is the end of a connection for this client, whatever server it asks; who
# expects bursts over polling is told by its documentation to raise the limit.
engineio.payload.Payload.max_decode_packets = 1000

FAILURES_MAX = 3
SAID = 50
OPEN = []


class Member:
    """One socket of one namespace, on a connection of its own, and what it has heard."""

    def __init__(self, namespace, *rooms, auth=None):
        self.namespace = namespace
        self.inbox = queue.Queue()
        self.errors = queue.Queue()
        self.reasons = queue.Queue()
        self.answers = {}
        self.client = socketio.Client(reconnection_delay=0.02, reconnection_delay_max=0.2)
        self.client.on("connect_error", self.errors.put, namespace=namespace)
        self.client.on("disconnect", self.reasons.put, namespace=namespace)
        self.client.on("*", self.heard_one, namespace=namespace)
        OPEN.append(self)
        self.client.connect(
            URL, auth=auth, transports=TRANSPORTS, namespaces=[namespace], wait_timeout=PATIENCE_S
        )
        for room in rooms:
            self.call("join", room)

    def close(self):
        # Over polling this client may wait for its last poll until the next ping.
        threading.Thread(target=self.client.shutdown, daemon=True).start()

    def heard_one(self, event, *args):
        """Returns what the server is to be answered."""
        if event in self.answers:
            return self.answers[event](*args)
        self.inbox.put([event, *args])

    @property
    def id(self):
        return self.client.get_sid(self.namespace)

    def emit(self, event, *args):
        self.client.emit(event, args, namespace=self.namespace)

    def call(self, event, *args):
        """Emits and waits for the answer: a value, a tuple of several, or none."""
        return self.client.call(event, args, namespace=self.namespace, timeout=PATIENCE_S)

    def next(self):
        return self.inbox.get(timeout=PATIENCE_S)

    def heard(self):
        """Everything that has come: what was accepted before the call is among it."""
        self.call("fence")
        # Events are handled on threads, in no order: those begun before have ended soon.
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and "_handle_event" in thread.name:
                thread.join(PATIENCE_S)
        return [self.inbox.get() for _ in range(self.inbox.qsize())]


def room(word="room"):
    return f"{word}-{uuid.uuid4()}"


def is_equal(left, right):
    assert left == right, f"{left!r:.200} is not {right!r:.200}"


def a_client_connects_and_has_an_id():
    is_equal(len(Member("/").id), 20)


def auth_decides_who_is_let_in():
    for auth, error in [
        ({"age": 30}, {"message": "no token"}),
        ({"token": "guess", "age": 30}, {"message": "wrong token", "data": {"code": 7}}),
        ({"token": "secret", "age": 17}, {"message": "too young"}),
    ]:
        member = Member.__new__(Member)
        try:
            member.__init__("/guarded", auth=auth)
        except socketio.exceptions.ConnectionError:
            is_equal(member.errors.get(timeout=PATIENCE_S), error)
        else:
            raise AssertionError(f"{auth} was let in")
    is_equal(Member("/guarded", auth={"token": "secret", "age": 18}).next(), ["welcome"])


def rooms_are_joined_left_and_switched_between():
    first, second = room(), room()
    speaker, member = Member("/"), Member("/", first)
    speaker.call("say", {"to": [first]}, 1)
    is_equal(member.heard(), [["said", 1]])
    is_equal(member.call("switch", first, second), 1)
    is_equal(member.call("rooms"), [second])
    speaker.call("say", {"to": [first]}, 2)
    speaker.call("say", {"to": [second]}, 3)
    is_equal(member.heard(), [["said", 3]])
    is_equal(member.call("leave", second), True)
    speaker.call("say", {"to": [second]}, 4)
    is_equal(member.heard(), [])


def acks_go_in_both_directions():
    member = Member("/acks")
    member.answers["question"] = lambda question: ("yes", {"to": question})
    is_equal(member.call("ask-me", {"a": [1]}), ["yes", {"to": {"a": [1]}}])


def binary_goes_both_ways_in_events_and_acks():
    member, other = Member("/binary"), Member("/binary")
    ten = [bytes(range(at * 20)) for at in range(10)]
    for args in [(bytes([0, 1, 255]),), ({"a": [b"", {"b": bytes(70_000)}]}, "text"), ({"ten": ten},)]:
        answer = args if len(args) > 1 else args[0]
        is_equal(member.call("echo", *args), answer)
        member.emit("back", *args)
        is_equal(member.next(), ["binary", *args])
        member.call("share", *args)
        is_equal(other.next(), ["binary", *args])
        member.answers["question"] = lambda args=args: args
        is_equal(member.call("ask-me"), answer)


def traffic_goes_on_in_both_directions_while_a_client_upgrades():
    """Events are handled on threads, in no order: here it is only that none is missing or twice."""
    speaker, done = Member("/binary"), threading.Event()
    shared = []

    def speak():
        while not done.is_set():
            speaker.call("share", "shared", len(shared))
            shared.append(len(shared))

    speaking = threading.Thread(target=speak, daemon=True)
    speaking.start()
    try:
        member = Member("/binary")
        for number in range(SAID):
            member.emit("back", "said", number, bytes([number]))
        heard = [member.next() for _ in range(SAID + 1)]
    finally:
        done.set()
        speaking.join(PATIENCE_S)
    is_equal(member.client.transport(), TRANSPORTS[-1])
    heard += member.heard()
    said = sorted(event[2:] for event in heard if event[1] == "said")
    is_equal(said, [[number, bytes([number])] for number in range(SAID)])
    others = sorted(event[2] for event in heard if event[1] == "shared")
    assert others, "it has heard the other one"
    is_equal(others, shared[others[0] :])


def a_broadcast_is_answered_by_all_or_by_those_in_time():
    place = room()
    asker = Member("/acks")
    members = [Member("/acks", place) for _ in range(3)]
    for number, member in enumerate(members):
        member.answers["question"] = lambda question, number=number: (question, number)
    answers, missing = asker.call("ask-all", {"to": [place]}, "who?")
    is_equal((sorted(answers), missing), ([["who?", 0], ["who?", 1], ["who?", 2]], 0))
    late = threading.Event()
    members[1].answers["question"] = lambda question: late.wait(PATIENCE_S)
    answers, missing = asker.call("ask-all", {"to": [place], "timeout_ms": 1000}, "who?")
    late.set()
    is_equal((sorted(answers), missing), ([["who?", 0], ["who?", 2]], 1))


def a_client_comes_back_when_its_connection_was_ended_and_joins_again():
    place = room()
    speaker, member = Member("/ending"), Member("/ending", place)
    before = member.id
    back = threading.Event()
    member.client.on("connect", back.set, namespace="/ending")
    member.emit("panic")
    member.reasons.get(timeout=PATIENCE_S)
    if TRANSPORTS == ["polling"]:
        # There this client takes a close packet for the server's last word.
        member.close()
        member = Member("/ending")
        back.set()
    assert back.wait(PATIENCE_S), "it comes back"
    assert member.id != before, "a new socket"
    is_equal(member.call("rooms"), [])
    member.call("join", place)
    speaker.call("say", {"to": [place]}, "welcome back")
    assert ["said", "welcome back"] in member.heard()


def a_client_that_was_disconnected_hears_of_it():
    member = Member("/ending")
    member.emit("go", True)
    is_equal(member.reasons.get(timeout=PATIENCE_S), "server disconnect")


CHECKS = [
    a_client_connects_and_has_an_id,
    auth_decides_who_is_let_in,
    rooms_are_joined_left_and_switched_between,
    acks_go_in_both_directions,
    binary_goes_both_ways_in_events_and_acks,
    traffic_goes_on_in_both_directions_while_a_client_upgrades,
    a_broadcast_is_answered_by_all_or_by_those_in_time,
    a_client_comes_back_when_its_connection_was_ended_and_joins_again,
    a_client_that_was_disconnected_hears_of_it,
]


def main():
    passed = failed = 0
    for check in CHECKS:
        title = check.__name__.replace("_", " ")
        # Says where everybody is, and ends it all.
        faulthandler.dump_traceback_later(CHECK_S_MAX, exit=True)
        try:
            check()
            passed += 1
            print(f"ok    {title}", flush=True)
        except Exception:
            failed += 1
            print(f"FAIL  {title}\n{traceback.format_exc()}", flush=True)
        while OPEN:
            OPEN.pop().close()
        if failed == FAILURES_MAX:
            break
    print(f"{passed} checks passed, {failed} failed", flush=True)
    # Threads of clients that are ending must not keep the process.
    os._exit(1 if failed else 0)


main()
