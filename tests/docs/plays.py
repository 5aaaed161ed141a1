"""The table: every shell block of the documents, and how the tests play it.

A play says on which ground the commands run, which of their words are replaced by what this machine has, and what must
be seen afterwards. Everything else is typed as it stands. There is no way to leave a block out: one without a play, and
a play or a replacement without its words, fail the tests.

    simnet    inside the simulated Internet `NET`, where Kafka and the MongoDB wire server listen too
    here      in this process's own namespace, confined to loopback: commands that build a network, or need none
    elsewhere what Docker and Kubernetes are told: that it names what there is; tests/deploy builds and runs the same
    make      verbs of the project: what the Makefile would do is asked (`make -n`), and who does it is named

`longline` is that of this interpreter, the working directory an empty one, and a line that ends in `&` is ended by
SIGTERM, as a supervisor does it, after what must be seen was seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from stages.simnet.spec import Spec
from stages.simnet.wiring import FAR_MAC, NEAR_LINK
from tests.docs import seen
from tests.docs.blocks import ROOT
from tests.docs.stage import Stage

#: A corner of the demo's Internet, and the documentation network (RFC 5737) that an example names.
NET: Final = Spec(seed=11, targets=("10.0.0.0/20", "192.0.2.0/24"), local=("10.0.0.0/8", "192.0.2.0/24"))

#: In a simulated network nothing comes later than this: not eight seconds of cooldown for each scan, nor ten for each
#: server that says nothing.
QUICK: Final = {
    "LONGLINE_SCANNER_COOLDOWN_TIME": "2",
    "LONGLINE_BANNERGRAB_READ_TIMEOUT": "3",
    "LONGLINE_TLSGRAB_HANDSHAKE_TIMEOUT": "4",
}


@dataclass(frozen=True, slots=True)
class Play:
    """How one block is played."""

    ground: Literal["simnet", "here", "elsewhere", "make"]
    replace: Mapping[str, str] = field(default_factory=dict)  #: words as written -> words as typed
    environment: Mapping[str, str] = field(default_factory=dict)
    file: tuple[str, str] | None = None  #: (name, language): the same heading's block that is laid beside the commands
    root: bool = False  #: builds networks by itself, and leaves nothing
    servers: bool = False  #: needs `{kafka}` and `{mongo}` of the replacements
    seen: Callable[[Stage], None] = seen.nothing_more


#: ZMap of Debian finds no gateway on a veth, and its own blocklist names 10.0.0.0/8.
_ZMAP: Final = f"zmap -q -i {NEAR_LINK} -G {FAR_MAC} -b /dev/null -c 2 "

#: 4,096 addresses show what 65,536 show, in a sixteenth of the time.
_SMALLER: Final = {"10.0.0.0/16": "10.0.0.0/20"}

#: What stands in the file when somebody has used the form.
_ASKED: Final = f"python {ROOT}/tests/servers/requests_of_form.py notice.db"

#: Of the verbs of make the recipes are read: `check` and `test` are what `.ci/run` runs, and this is part of `test`;
#: what `demo` runs, test_demo.py runs; `bench` has a test in tests/bench, its benches are run by hand.
PLAYS: Final[Mapping[str, Play]] = {
    "README.md: Two commands": Play("make", seen=seen.make_runs_the_demo_and_the_tests),
    "README.md: One process, one file": Play("simnet", _SMALLER, QUICK, seen=seen.a_whole_measurement),
    "README.md: In a pipe": Play(
        "simnet",
        {"zmap -p 80 -o - 10.0.0.0/16 ": f"{_ZMAP}-p 80 -o - 10.0.0.0/20 | tee zmap.txt ", **_SMALLER},
        QUICK,
        seen=seen.what_the_pipes_wrote,
    ),
    "README.md: Kafka and MongoDB": Play(
        "simnet",
        {"broker.example:9092": "{kafka}", "db.example:27017": "{mongo}"},
        QUICK,
        servers=True,
        seen=seen.everything_through_kafka,
    ),
    "README.md: In production": Play("elsewhere", seen=seen.compose_has_these_services),
    "README.md: Is this host fit for it?": Play("here", seen=seen.the_doctor_has_looked),
    "CONTRIBUTING.md: Set-up": Play("make", seen=seen.make_has_the_verbs),
    "docs/benchmarks.md: How to repeat": Play("make", seen=seen.make_runs_the_benches),
    "docs/from-masscan.md: From masscan": Play(
        "simnet", {"10.0.0.0/8": "10.0.0.0/22"}, seen=seen.what_masscans_command_wrote
    ),
    "docs/pipeline.md: Delivery": Play(
        "simnet",
        # Under names of their own: other documents' stages have made those of the usual ones.
        {"broker.example:9092": "{kafka}", "--retention 7d": "--retention 7d --topic-prefix planned"},
        servers=True,
        seen=seen.topics_were_planned_and_made,
    ),
    "docs/pipeline.md: Dead letters": Play("here", seen=seen.dead_letters_were_looked_for),
    "docs/pipeline.md: Keeping and erasing": Play("here", seen=seen.erasures_are_on_record),
    "docs/settings.md: Settings": Play("here", file=("longline.toml", "toml"), seen=seen.settings_of_the_file),
    "docs/certificates.md: Certificates": Play(
        "simnet", _SMALLER, QUICK, seen=seen.certificates_were_collected_and_judged
    ),
    "docs/tls.md: The certificates of a network in five commands": Play(
        "simnet", _SMALLER, QUICK, seen=seen.certificates_in_five_commands
    ),
    "docs/scanner.md: The scanner": Play("simnet", environment=QUICK, seen=seen.what_the_scans_found),
    "docs/continuation.md: In the scan": Play("simnet", environment=QUICK, seen=seen.banners_of_the_scan),
    "docs/continuation.md: By another stage": Play("simnet", environment=QUICK, seen=seen.banners_of_held_connections),
    "docs/continuation.md: After ZMap": Play("simnet", {"zmap ": _ZMAP}, QUICK, seen=seen.banners_after_zmap),
    "docs/from-zmap.md: For those who come from ZMap": Play(
        "simnet", {**_SMALLER, "zmap -p": "longline scan -p"}, QUICK, seen=seen.what_zmaps_users_typed
    ),
    "docs/fleet.md: Fleet: friends share bandwidth": Play(
        "simnet",
        {"coordinator.example": "127.0.0.1"},
        # Names of these ranges are special, and the agent's own lists would have to name them.
        {"LONGLINE_LISTS_DEFAULT_BLOCKLIST": "false"},
        file=("scan.toml", "toml"),
        seen=seen.friends_have_shared_a_scan,
    ),
    "docs/fleet.md: Friends with a broker": Play(
        "simnet",
        {"broker.example:9092": "{kafka}"},
        {"LONGLINE_LISTS_DEFAULT_BLOCKLIST": "false"},
        file=("scan.toml", "toml"),
        servers=True,
        seen=seen.friends_have_shared_by_a_broker,
    ),
    "docs/fleet.md: Grabs": Play(
        "simnet",
        {"coordinator.example": "127.0.0.1"},
        {"LONGLINE_LISTS_DEFAULT_BLOCKLIST": "false", "LONGLINE_POLITENESS_PER_PREFIX": "0"},
        file=("scan.toml", "toml"),
        seen=seen.friends_have_grabbed_too,
    ),
    "docs/fleet.md: Who wants to be left alone": Play("here", seen=seen.somebody_is_left_alone),
    "docs/fleet.md: The operator": Play("here", seen=seen.nobody_is_in_the_fleet_yet),
    "docs/notice.md: The notice page": Play(
        "simnet", file=("notice.toml", "toml"), seen=seen.the_notice_is_read_by_those_who_were_scanned
    ),
    "docs/notice.md: The form": Play(
        "here",
        {
            "invite alice": f"invite alice --notice {ROOT}/deploy/notice/notice.toml",
            "longline optout requests": f"{_ASKED} && longline optout requests",
        },
        seen=seen.requests_were_decided,
    ),
    "docs/notice.md: Names and words": Play(
        "here",
        {"--notice notice.toml": f"--notice {ROOT}/deploy/notice/notice.toml"},
        seen=seen.the_sources_were_looked_at,
    ),
    "docs/campaigns.md: A monitored network in five commands": Play(
        "simnet", environment=QUICK, file=("campaign.toml", "toml"), seen=seen.a_network_is_watched
    ),
    "docs/campaigns.md: The operator": Play(
        "simnet", environment=QUICK, file=("weekly.toml", "toml"), seen=seen.a_campaign_was_paused_and_goes_on
    ),
    "docs/operations.md: One host, by compose": Play("elsewhere", seen=seen.compose_has_these_services),
    "docs/operations.md: Images": Play("elsewhere", seen=seen.images_have_these_targets),
    "docs/operations.md: Kubernetes": Play("elsewhere", seen=seen.the_cluster_gets_what_it_needs),
    "docs/operations.md: More partitions": Play(
        "simnet",
        {"broker.example:9092": "{kafka}", "repartition 64": "repartition 64 --topic-prefix grown"},
        servers=True,
    ),
    "docs/operations.md: An abuse mail": Play("simnet", environment=QUICK, seen=seen.an_abuse_mail_is_answered),
    "docs/questions.md: Two scans and more": Play("simnet", _SMALLER, QUICK, seen=seen.two_scans_were_compared),
    "docs/operations.md: Backing up": Play("here", seen=seen.the_backup_can_be_read),
    "docs/operations.md: Datasets": Play("here", seen=seen.the_dataset_is_whole),
    "docs/operations.md: Stop everything": Play(
        "here", environment={"LONGLINE_ORDERS_FILE": "orders.jsonl"}, seen=seen.orders_stand
    ),
    "docs/simnet.md: The simulated Internet": Play(
        "here", environment={**QUICK, "SHELL": "/bin/sh"}, root=True, seen=seen.what_stands_in_simnet
    ),
    "docs/simnet.md: The responder": Play("here", environment=QUICK, root=True, seen=seen.what_the_responder_plays),
    "docs/simnet.md: Behind the handshake": Play("here", environment=QUICK, root=True, seen=seen.what_connections_hear),
}
