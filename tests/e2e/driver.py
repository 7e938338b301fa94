"""Runs `monitor`'s steps in a process of its own and, if told so, kills it with SIGKILL at one point.

Arguments: data folder, feeds as JSON, topics file, kill point. A kill point is `before:STEP`, `after:STEP`,
`posted:N` (after Slack took message N, before that is recorded) or `none`. Prefect is left out: the steps
are the same functions, and a killed interpreter does not care who called them. Prints the report as JSON.
"""

import json
import os
import signal
import sys
from datetime import timedelta
from functools import partial
from pathlib import Path

from flows import assemble, pipeline
from flows.alerts.slack import SlackOutlet
from models.topics import load_topics
from tocsin.settings import load_settings


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


class KillingOutlet(SlackOutlet):
    """Dies when Slack has taken the n-th message and nobody has been told."""

    left = 0

    def send(self, channel, message):
        message_ts = super().send(channel, message)
        KillingOutlet.left -= 1
        if KillingOutlet.left == 0:
            kill()
        return message_ts


def killing_at(point):
    when, _, name = point.partition(":")

    def wrap(step):
        def killing_step(*arguments):
            if (when, name) == ("before", step.__name__):
                kill()
            result = step(*arguments)
            if (when, name) == ("after", step.__name__):
                kill()
            return result

        return killing_step

    return wrap


def main():
    data, feeds, topics, point = sys.argv[1:]
    if point.startswith("posted:"):
        KillingOutlet.left = int(point.removeprefix("posted:"))
    # The emulator has no limits to respect, so nothing is gained by pausing as before the real Slack.
    quick = partial(KillingOutlet, pace=timedelta(0), settle=timedelta(milliseconds=50))
    assemble.SlackOutlet = quick
    request = assemble.Request(
        topics=load_topics(Path(topics)), feeds=json.loads(feeds), baseline=False, poll_all=True
    )
    with assemble.open_run(load_settings(data=Path(data)), request, run_id=f"run-{os.getpid()}") as run:
        pipeline.run_steps(run, wrap=killing_at(point))
    sys.stdout.write(json.dumps(run.report.to_dict()) + "\n")


if __name__ == "__main__":
    main()
