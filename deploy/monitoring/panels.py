"""What the dashboards show: rows of panels, each with its queries. Pure.

A query's `legend` is Grafana's (`{{label}}`). Rates are over `$__rate_interval`, which Grafana makes four scrapes wide.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["timeseries", "stat"]

#: Stages that the one loop runs, and those that hold conversations.
LOOPED: Final = ("bannergrab", "tlsgrab", "sink")
GRABS: Final = ("bannergrab", "tlsgrab")
#: What a stage calls its conversations.
CONVERSATIONS: Final = {"bannergrab": "conversations", "tlsgrab": "handshakes"}
DURATIONS: Final = {"bannergrab": "conversation_seconds", "tlsgrab": "handshake_seconds"}


@dataclass(frozen=True)
class Query:
    expr: str
    legend: str


@dataclass(frozen=True)
class Panel:
    title: str
    unit: str
    queries: tuple[Query, ...]
    about: str
    kind: Kind = "timeseries"


@dataclass(frozen=True)
class Board:
    uid: str
    title: str
    about: str
    rows: tuple[tuple[str, tuple[Panel, ...]], ...]

    def panels(self) -> Iterator[Panel]:
        for _, panels in self.rows:
            yield from panels


def rate(metric: str, by: str = "") -> str:
    summed = f"sum by ({by}) " if by else "sum"
    return f"{summed}(rate({metric}[$__rate_interval]))"


def quantile(q: float, metric: str) -> str:
    return f"histogram_quantile({q}, sum by (le) (rate({metric}_bucket[$__rate_interval])))"


def each(stages: tuple[str, ...], expr: str, legend: str = "{stage}") -> tuple[Query, ...]:
    """One query a stage; `{stage}` is its name."""
    return tuple(Query(expr.replace("{stage}", stage), legend.replace("{stage}", stage)) for stage in stages)


_SCANNER: Final = "longline_scanner_"

SCAN: Final = Board(
    "longline-scan",
    "Longline / Scan",
    "One scan, or several: how far, how fast, what comes back, what was lost on the way.",
    (
        (
            "Progress",
            (
                Panel(
                    "Targets probed", "percentunit",
                    (Query(f"sum({_SCANNER}position) / sum({_SCANNER}targets > 0)", "probed"),),
                    "Share of the targets of running scans that have been probed.", "stat",
                ),
                Panel(
                    "Time left", "s",
                    (Query(
                        f"sum({_SCANNER}targets - {_SCANNER}position) / (sum({_SCANNER}rate_pps > 0) or vector(1))",
                        "left",
                    ),),
                    "At the rate of now, for the first probe of each target.", "stat",
                ),
                Panel(
                    "Scans running", "short", (Query(f"sum({_SCANNER}running)", "running"),),
                    "Scanners with a scan under way.", "stat",
                ),
                Panel(
                    "Waiting for those who take the hits", "bool_yes_no",
                    (Query(f"max({_SCANNER}paused)", "waiting"),),
                    "1 while sending waits because the log is full: the grabs are slower than the scan.", "stat",
                ),
            ),
        ),
        (
            "Rates",
            (
                Panel(
                    "Probes", "pps",
                    (
                        Query(rate(f"{_SCANNER}probes_sent_total", "instance"), "sent, {{instance}}"),
                        Query(f"sum({_SCANNER}rate_limit_pps)", "limit"),
                    ),
                    "Probes that left, beside the limit (0: unlimited).",
                ),
                Panel(
                    "Answers", "pps",
                    (Query(rate(f"{_SCANNER}answers_total", "classification"), "{{classification}}"),),
                    "Validated answers by classification; repeats are counted too.",
                ),
                Panel(
                    "Hit rate", "percentunit",
                    (Query("longline:scanner_hit_ratio:rate10m", "10 min"),),
                    "Answers that are a success, of the probes sent, over ten minutes.",
                ),
                Panel(
                    "Repeats and strangers", "pps",
                    (
                        Query(rate(f"{_SCANNER}repeats_total"), "repeats"),
                        Query(rate(f"{_SCANNER}packets_invalid_total"), "answer no probe of ours"),
                    ),
                    "Answers of targets that had answered, and packets that do not validate.",
                ),
            ),
        ),
        (
            "Losses",
            (
                Panel(
                    "Kernel drops", "pps", (Query(rate(f"{_SCANNER}ring_drops_total", "instance"), "{{instance}}"),),
                    "Packets that the receive ring had no room for: above 0 the scan misses answers.",
                ),
                Panel(
                    "Failed sends", "pps", (Query(rate(f"{_SCANNER}send_failures_total"), "failed"),),
                    "Sends that failed and were repeated or given up.",
                ),
                Panel(
                    "Answers not yet published", "short", (Query(f"sum({_SCANNER}answers_waiting)", "waiting"),),
                    "Received, and waiting for the log.",
                ),
                Panel(
                    "Connections gone on with", "short",
                    (
                        Query(f"sum({_SCANNER}connections_open)", "open"),
                        Query(rate(f"{_SCANNER}continued_total", "how"), "{{how}} a second"),
                    ),
                    "Of scans with --grab or --hold.",
                ),
            ),
        ),
    ),
)  # fmt: skip

GRABS_BOARD: Final = Board(
    "longline-grabs",
    "Longline / Grabs",
    "Conversations: how they end, how long they take, how many are under way.",
    tuple(
        (
            stage,
            (
                Panel(
                    "Outcomes", "ops",
                    (Query(rate(f"longline_{stage}_{CONVERSATIONS[stage]}_total", "outcome"), "{{outcome}}"),),
                    "What became of conversations (docs/outcomes.md); also of those tried again.",
                ),
                Panel(
                    "Where they fail", "ops",
                    (Query(rate(f"longline_{stage}_failures_total", "phase"), "{{phase}}"),),
                    "Conversations that did not end ok, by where they were.",
                ),
                Panel(
                    "Latency", "s",
                    (
                        Query(quantile(0.5, f"longline_{stage}_connect_seconds"), "connect, median"),
                        Query(quantile(0.95, f"longline_{stage}_connect_seconds"), "connect, 95 %"),
                        Query(quantile(0.5, f"longline_{stage}_{DURATIONS[stage]}"), "whole, median"),
                        Query(quantile(0.95, f"longline_{stage}_{DURATIONS[stage]}"), "whole, 95 %"),
                    ),
                    "Time to connect, and of a whole conversation.",
                ),
                Panel(
                    "Under way", "short",
                    (
                        Query(f"sum(longline_{stage}_in_flight)", "in flight"),
                        Query(f"sum(longline_{stage}_capacity)", "room"),
                        Query(f"sum(longline_{stage}_waiting)", "waiting"),
                        Query(f"sum(longline_{stage}_connections_open)", "connections"),
                    ),
                    "In flight beside the room for it; waiting is for politeness, or for room.",
                ),
            )
            + (
                (
                    Panel(
                        "TLS versions", "ops",
                        (Query(rate("longline_tlsgrab_versions_total", "version"), "{{version}}"),),
                        "ServerHellos by version.",
                    ),
                    Panel(
                        "Certificates", "ops",
                        (
                            Query(rate("longline_tlsgrab_certificates_total"), "received"),
                            Query(rate("longline_sink_certificates_parsed_total"), "new"),
                        ),
                        "Received, and those not seen before.",
                    ),
                )
                if stage == "tlsgrab"
                else ()
            ),
        )
        for stage in GRABS
    ),
)  # fmt: skip

PIPELINE: Final = Board(
    "longline-pipeline",
    "Longline / Pipeline",
    "The logs between the stages and the store: how far behind, how old, how fast, what died.",
    (
        (
            "Logs",
            (
                Panel(
                    "Behind", "short", each(LOOPED, "max(longline_{stage}_records_behind)"),
                    "Offsets that a stage's group has not committed.",
                ),
                Panel(
                    "Age of records when taken", "s",
                    each(LOOPED, quantile(0.95, "longline_{stage}_record_age_seconds"), "{stage}, 95 %"),
                    "How long records lay in the log before their stage took them.",
                ),
                Panel(
                    "Way from scanner to store", "s",
                    (Query("max(longline_sink_heartbeat_age_seconds)", "last heartbeat"),),
                    "Age of the last word of a running scan when it was stored.",
                ),
                Panel(
                    "Ready", "bool_yes_no", each(LOOPED, "min(longline_{stage}_ready)"),
                    "1 while all instances of a stage are assigned and connected.",
                ),
            ),
        ),
        (
            "Throughput",
            (
                Panel(
                    "Taken", "ops", each(LOOPED, rate("longline_{stage}_records_taken_total")),
                    "Records that each stage takes from its log.",
                ),
                Panel(
                    "Published", "ops", each(GRABS, rate("longline_{stage}_records_published_total")),
                    "Results acknowledged by the log.",
                ),
                Panel(
                    "Documents written", "ops",
                    (Query(rate("longline_sink_documents_total", "collection"), "{{collection}}"),),
                    "What the store took.",
                ),
                Panel(
                    "Time of a bulk write", "s",
                    (
                        Query(quantile(0.5, "longline_sink_write_seconds"), "median"),
                        Query(quantile(0.95, "longline_sink_write_seconds"), "95 %"),
                    ),
                    "Of the sink's writes.",
                ),
            ),
        ),
        (
            "Trouble",
            (
                Panel(
                    "Dead letters", "ops",
                    each(LOOPED, rate("longline_{stage}_dead_letters_total", "reason"), "{stage}, {{reason}}"),
                    "Records that cannot be processed: `longline dead list`.",
                ),
                Panel(
                    "Fuse", "percentunit", each(LOOPED, "max(longline_{stage}_dead_share)"),
                    "Share of the dead among the last thousand records; above a half the stage stops.",
                ),
                Panel(
                    "Tried again", "ops",
                    each(LOOPED, rate("longline_{stage}_retries_total", "what"), "{stage}, {{what}}"),
                    "Polls, settlings and conversations repeated after a failure that passes.",
                ),
                Panel(
                    "Failed writes", "ops",
                    (Query(rate("longline_sink_write_failures_total", "failure"), "{{failure}}"),),
                    "Bulk writes that failed.",
                ),
            ),
        ),
        (
            "Processes",
            (
                Panel(
                    "Event loop", "s", (Query("max by (instance) (longline_event_loop_lag_seconds)", "{{instance}}"),),
                    "How late the loop comes round: above a second the process does too much.",
                ),
                Panel(
                    "Memory", "bytes",
                    (Query("max by (instance) (process_resident_memory_bytes)", "{{instance}}"),), "Resident.",
                ),
                Panel(
                    "CPU", "percentunit",
                    (Query(rate("process_cpu_seconds_total", "instance"), "{{instance}}"),), "Of one core.",
                ),
                Panel(
                    "Descriptors", "percentunit",
                    (Query("max by (instance) (process_open_fds / process_max_fds)", "{{instance}}"),),
                    "Open, of those allowed.",
                ),
            ),
        ),
    ),
)  # fmt: skip

_FLEET: Final = "longline_fleet_"
_AGENT: Final = "max by (agent) (longline_fleet_agent_"

FLEET: Final = Board(
    "longline-fleet",
    "Longline / Fleet",
    "Scans that are shared among agents: how far, who does what, who is silent.",
    (
        (
            "Scans",
            (
                Panel(
                    "Targets done", "percentunit",
                    (Query(f"sum({_FLEET}positions_done) / sum({_FLEET}positions > 0)", "done"),),
                    "Of the scans under way; what is leased again after a loss counts once.", "stat",
                ),
                Panel("Scans", "short", (Query(f"sum({_FLEET}scans)", "under way"),), "Not complete.", "stat"),
                Panel(
                    "Slices", "short",
                    (Query(f"sum({_FLEET}leases)", "held"), Query(f"sum({_FLEET}parts_waiting)", "waiting")),
                    "Held by agents, and parts of scans that nobody does: these stand still while no agent fits.",
                ),
                Panel(
                    "Agents", "short", (Query(f"sum by (status) ({_FLEET}agents)", "{{status}}"),),
                    "Executing: scanning; storing: what is found waits to be handed over.",
                ),
            ),
        ),
        (
            "Agents",
            (
                Panel(
                    "Probes a second", "pps", (Query(f"{_AGENT}probes_per_second)", "{{agent}}"),),
                    "As each agent says; its own limit always holds.",
                ),
                Panel(
                    "Hit rate", "percentunit",
                    (Query(f"{_AGENT}hits) / ({_AGENT}probes_sent) > 0)", "{{agent}}"),),
                    "Since it was enrolled: one that is far below the others sees another network, or loses packets.",
                ),
                Panel(
                    "Silent for", "s", (Query(f"time() - {_AGENT}seen_timestamp_seconds)", "{{agent}}"),),
                    "Above --agent-timeout its slice is somebody else's.",
                ),
                Panel(
                    "Waiting to be handed over", "bytes", (Query(f"{_AGENT}pending_bytes)", "{{agent}}"),),
                    "Results in the agent's spool.",
                ),
            ),
        ),
        (
            "Coordinator",
            (
                Panel(
                    "Slices done", "short", (Query(f"{_AGENT}slices_done)", "{{agent}}"),), "Since each was enrolled.",
                ),
                Panel("Results", "ops", (Query(rate(f"{_FLEET}results_total"), "results"),), "Written to the log."),
                Panel(
                    "Refused", "ops", (Query(rate(f"{_FLEET}requests_refused_total", "status"), "{{status}}"),),
                    "409: a lease that was lost; 422: a claim or a result that cannot be; 403: revoked.",
                ),
                Panel(
                    "Set aside", "bool", (Query(f"{_AGENT}set_aside)", "{{agent}}"),),
                    "Gets no work for ten minutes: it lost slices one after the other, or claimed what cannot be.",
                ),
            ),
        ),
    ),
)  # fmt: skip

_CAMPAIGN: Final = "longline_campaign_"


def _each_campaign(metric: str) -> str:
    return f"max by (campaign) ({_CAMPAIGN}{metric})"


CAMPAIGN: Final = Board(
    "longline-campaign",
    "Longline / Campaigns",
    "Measurements that never end: whether they keep their times, how much they miss, what they know.",
    (
        (
            "On time",
            (
                Panel(
                    "Sweeps running", "short", (Query(_each_campaign("running"), "{{campaign}}"),),
                    "One at a time from each vantage.",
                ),
                Panel(
                    "Late", "s", (Query(_each_campaign("late_seconds"), "{{campaign}}"),),
                    "How long the sweep that is due has waited: for its hours, for another one, or for a pause to end.",
                ),
                Panel(
                    "Until the next", "s",
                    (Query(f"{_each_campaign('next_timestamp_seconds')} - time()", "{{campaign}}"),),
                    "0 or below: now.",
                ),
                Panel(
                    "Paused", "bool", (Query(_each_campaign("paused"), "{{campaign}}"),), "By an operator.",
                ),
            ),
        ),
        (
            "Missed by the last full sweep",
            (
                Panel(
                    "Loss", "percentunit",
                    (
                        Query(_each_campaign("loss_ratio"), "{{campaign}}"),
                        Query(_each_campaign("loss_low_ratio"), "{{campaign}}, low"),
                        Query(_each_campaign("loss_high_ratio"), "{{campaign}}, high"),
                    ),
                    "Open targets that it did not find, estimated from a sample that was probed again, and the "
                    "interval that holds the truth 19 times of 20.",
                ),
                Panel(
                    "Controls", "bool", (Query(_each_campaign("healthy"), "{{campaign}}"),),
                    "1: more than half of the known responders answered each time. At 0 nobody is called down.",
                ),
                Panel(
                    "Hit rate", "percentunit", (Query(_each_campaign("hit_ratio"), "{{campaign}}"),),
                    "Open targets, of the probes.",
                ),
                Panel(
                    "ICMP errors", "percentunit", (Query(_each_campaign("icmp_ratio"), "{{campaign}}"),),
                    "Of the probes: more than before is a router that limits, or a network that filters.",
                ),
            ),
        ),
        (
            "What was done",
            (
                Panel(
                    "Turns of full sweeps", "ops", (Query(rate(f"{_CAMPAIGN}full_turns_total", "end"), "{{end}}"),),
                    "By how they ended. Only complete ones end a sweep; after the others it goes on.",
                ),
                Panel(
                    "Turns of refreshes", "ops", (Query(rate(f"{_CAMPAIGN}known_turns_total", "end"), "{{end}}"),),
                    "Of known services.",
                ),
                Panel(
                    "Windows missed", "ops", (Query(rate(f"{_CAMPAIGN}windows_missed_total"), "missed"),),
                    "Due times that nothing was done for: the machine was off, or sweeps take longer than a period.",
                ),
                Panel(
                    "Known services", "short",
                    (
                        Query(_each_campaign("known_services"), "{{campaign}}"),
                        Query(_each_campaign("gone_services"), "{{campaign}}, gone"),
                    ),
                    "That answered the last look, and that did not.",
                ),
            ),
        ),
    ),
)  # fmt: skip

BOARDS: Final = (SCAN, GRABS_BOARD, PIPELINE, FLEET, CAMPAIGN)

_RUNNING: Final = "max by (instance) (longline_scanner_running)"
_BEFORE: Final = "max by (instance) (longline_scanner_running offset 1m)"

#: A scan's start and end, on every dashboard.
ANNOTATIONS: Final = {"Scan starts": f"{_RUNNING} > {_BEFORE}", "Scan ends": f"{_RUNNING} < {_BEFORE}"}
