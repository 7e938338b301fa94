"""Counts alerts that are lost or doubled between the outbox and Slack while network and process fail.

Each seed has its own emulator of Slack, a proxy before it that drops, delays and garbles, a history on disk
and a process that delivers and is killed with SIGKILL, both at random times and right before or after Slack
accepted a message. Time runs faster by `SPEED` for the deliverer alone, so that Slack's pace of a message a
second and the pauses after faults do not take hours; nothing else about delivery is changed.

    python tests/bench/prove_delivery.py [--seeds 20] [--alerts 1000] [--jobs 2] [--no-reconciliation]
"""

import argparse
import json
import logging
import multiprocessing
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "bench")]

from conftest import EMULATOR, FaultProxy, SlackEmulator, _running  # noqa: E402

from flows.alerts.decide import alert_id_of  # noqa: E402
from flows.alerts.deliver import deliver_alerts  # noqa: E402
from flows.alerts.slack import SlackOutlet  # noqa: E402
from storage.alerts import DuckOutbox, outbox_counts, store_alerts  # noqa: E402
from storage.database import Database  # noqa: E402
from tocsin.types import Alert, Reason  # noqa: E402

SPEED = 10
TIMEOUT = 0.3  # real seconds, as the process really waits for an answer
SETTLE = timedelta(seconds=6)  # 0.6 real seconds
# A late request arrives this long after it was sent, in real seconds. One that this busy machine would
# bring after the deliverer may have asked the history is lost instead, which is another fault of the list.
LATE, TOO_LATE = 0.4, 0.6
FAULT_RATE = 0.25
KILL_RATE = 0.012  # per post, at the moment when Slack takes it
KILLS_IN_TIME = 6  # at a random moment, whatever is going on
CHANNEL_SIZES = (20, 100)  # a channel of single messages, and one of lists; dealt in turn 3 : 1
MOST_SECONDS = 1200  # for one seed; one that takes longer proves nothing, and what is missing counts as lost


@dataclass
class Count:
    """What one seed came to."""

    seed: int
    alerts: int = 0
    messages: int = 0
    lost: int = 0
    doubled: int = 0
    out_of_order: int = 0
    kills: int = 0
    faults: dict = field(default_factory=dict)
    seconds: float = 0.0


class Forgetful(SlackOutlet):
    """Never asks what the channel holds: reconciliation off."""

    def find_delivered(self, channel, alert_ids, oldest, *, threads=()):
        return {}


def deliver(path, base_url, token, epoch, *, reconcile):
    """Be the process that delivers, until nothing is left."""

    def clock():
        return datetime.fromtimestamp(epoch + (time.time() - epoch) * SPEED, UTC)

    def wait(seconds):
        time.sleep(seconds / SPEED)

    logging.getLogger("flows").setLevel(logging.ERROR)
    database = Database(Path(path))
    while True:
        outlet = (SlackOutlet if reconcile else Forgetful)(token, base_url, timeout=TIMEOUT, settle=SETTLE)
        outbox = DuckOutbox(database)
        deliver_alerts(
            outbox, lambda _, outlet=outlet: outlet, clock=clock, wait=wait, max_wait=timedelta(minutes=2)
        )
        with database.read() as con:
            counts = outbox_counts(con)
        if counts["delivered"] == sum(counts.values()):
            return
        wait(2)


class Trial:
    """One seed: the faults that it deals, the process that it kills, and what Slack holds in the end."""

    def __init__(self, seed, alerts, emulator, proxy, folder, *, reconcile):
        self.rng, self.emulator, self.proxy, self.reconcile = Random(seed), emulator, proxy, reconcile
        self.path, self.epoch = str(folder / "tocsin.duckdb"), time.time()
        self.count = Count(seed, alerts)
        self.faults, self.deck, self.process = Counter(), [], None
        self.lock, self.over = threading.Lock(), threading.Event()
        self.expected = self.fill(alerts)
        proxy.plan = self.plan

    def fill(self, alerts):
        """Put alerts for several channels into the outbox; give the ids in order by channel's id."""
        expected, rows, sizes = {}, [], [CHANNEL_SIZES[0]] * 3 + [CHANNEL_SIZES[1]]
        while len(rows) < alerts:
            name, channel_id = self.emulator.create_channel()
            size = min(sizes[len(expected) % len(sizes)], alerts - len(rows))
            made = [make_alert(len(rows) + n, name, self.epoch) for n in range(size)]
            expected[channel_id] = [alert.alert_id for alert in made]
            rows += made
        database = Database(Path(self.path))
        with database.write() as con:
            store_alerts(con, "prove", rows)
        return expected

    def plan(self, method):
        """Deal a fault to a call, or kill the process that makes it; called by the proxy's threads."""
        with self.lock:
            if method == "chat.postMessage" and self.rng.random() < KILL_RATE:
                fault = self.rng.choice(("drop_request", "drop_response"))
                self.kill_soon(after_slack=fault == "drop_response")
                return fault if fault == "drop_request" else "pass"
            if self.rng.random() >= FAULT_RATE:
                return "pass"
            if not self.deck:  # dealt like cards, so that every fault comes up
                self.deck = self.rng.sample(FaultProxy.FAULTS, len(FaultProxy.FAULTS))
            self.faults[self.deck[-1]] += 1
            return self.deck.pop()

    def kill_soon(self, *, after_slack):
        """Kill at once, or about when Slack has taken the message and before its answer is recorded."""
        delay = self.rng.uniform(0, 0.02) if after_slack else 0
        threading.Timer(delay, self.kill).start()

    def kill(self):
        process = self.process
        if process is not None and process.is_alive():
            process.kill()

    def release_late(self):
        """Bring late requests to Slack; a thread of its own."""
        held_at = {}
        while not self.over.wait(0.02):
            now = time.monotonic()
            for request in list(self.proxy.held):
                age = now - held_at.setdefault(id(request), now)
                if age >= LATE:
                    self.proxy.held.remove(request)
                    held_at.pop(id(request))
                    if age < TOO_LATE:
                        with suppress(OSError):
                            self.proxy.forward(*request)

    def run(self, context):
        started = time.monotonic()
        threading.Thread(target=self.release_late, daemon=True).start()
        times = [self.rng.uniform(0.3, 4.0) for _ in range(KILLS_IN_TIME)]
        while time.monotonic() - started < MOST_SECONDS:
            self.process = self.start(context)
            self.process.join(times.pop() if times else MOST_SECONDS - (time.monotonic() - started))
            self.kill()
            self.process.join()
            if self.process.exitcode == 0:
                break
            self.count.kills += self.process.exitcode == -9
        self.over.set()
        self.tell(time.monotonic() - started)
        return self.count

    def start(self, context):
        process = context.Process(
            target=deliver,
            args=(self.path, self.proxy.base_url, self.emulator.token, self.epoch),
            kwargs={"reconcile": self.reconcile},
        )
        process.start()
        return process

    def tell(self, seconds):
        """Compare what Slack holds with what was decided."""
        count = self.count
        for channel_id, expected in self.expected.items():
            told = self.emulator.alert_ids(channel_id)
            times = Counter(told)
            count.messages += len(self.emulator.messages(channel_id))
            count.lost += sum(alert_id not in times for alert_id in expected)
            count.doubled += sum(times[alert_id] > 1 for alert_id in expected)
            count.out_of_order += told != expected and list(dict.fromkeys(told)) != expected
        count.faults, count.seconds = dict(sorted(self.faults.items())), round(seconds, 1)


def make_alert(n, channel, epoch):
    at = datetime.fromtimestamp(epoch, UTC) + timedelta(milliseconds=n)
    reasons = (Reason("export_controls", 0.93, "Exporters of chip tools now need a licence."),)
    title, url = f"Ministry widens chip licence rules ({n})", f"https://news.example/{n}"
    return Alert(alert_id_of(n, channel), n, channel, title, url, "The Example", at, at, reasons)


@contextmanager
def proxy_before(emulator):
    with FaultProxy(emulator) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield proxy
        proxy.shutdown()
        thread.join()


def prove(seed, alerts, context, *, reconcile=True):
    """Run one seed and return its count."""
    command = str(EMULATOR) if EMULATOR.exists() else shutil.which("emulate")
    if command is None:
        raise SystemExit("the Slack API emulator is not installed: run `make emulator`")
    with tempfile.TemporaryDirectory(prefix="tocsin-prove-") as name:
        folder = Path(name)
        (folder / "seed.json").write_text(json.dumps(SlackEmulator.seed()), encoding="utf-8")
        with _running(command, folder) as emulator, proxy_before(emulator) as proxy:
            return Trial(seed, alerts, emulator, proxy, folder, reconcile=reconcile).run(context)


def process_context():
    """Give processes that are forked from a clean server, which has imported what they need."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["flows.alerts.deliver", "flows.alerts.slack", "storage.alerts"])
    return context


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--alerts", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--no-reconciliation", action="store_true")
    asked = parser.parse_args()
    context, started = process_context(), time.monotonic()
    with ThreadPoolExecutor(asked.jobs) as pool:
        runs = pool.map(
            lambda seed: prove(seed, asked.alerts, context, reconcile=not asked.no_reconciliation),
            range(asked.first, asked.first + asked.seeds),
        )
        print("| seed | alerts | messages | faults | kills | lost | doubled | channels out of order | s |")
        print("|---|---|---|---|---|---|---|---|---|")
        counts = []
        for count in runs:
            counts.append(count)
            print(row_of(count), flush=True)
    total = {name: sum(getattr(each, name) for each in counts) for name in ("alerts", "kills", "messages")}
    total |= {
        name: sum(getattr(each, name) for each in counts) for name in ("lost", "doubled", "out_of_order")
    }
    faults = sum((Counter(each.faults) for each in counts), Counter())
    print(f"\nfaults: {json.dumps(dict(sorted(faults.items())))}")
    print(f"total: {json.dumps(total)} seeds={asked.seeds} minutes={(time.monotonic() - started) / 60:.1f}")
    sys.exit(1 if total["lost"] or total["doubled"] or total["out_of_order"] else 0)


def row_of(count):
    values = asdict(count) | {"faults": sum(count.faults.values())}
    names = ("seed", "alerts", "messages", "faults", "kills", "lost", "doubled", "out_of_order", "seconds")
    return "| " + " | ".join(str(values[name]) for name in names) + " |"


if __name__ == "__main__":
    main()
