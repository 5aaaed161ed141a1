"""Reload: on SIGHUP and on change of a file; one that fails keeps the old lists, is logged and counted."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading

import pytest

from stages.core.lists import Lists, read_lists
from stages.core.policy import Policy
from stages.core.reload import Reloader, signature
from stages.core.settings import ListSettings

POLL = 0.02

#: How long a test waits for something that must come; the promise of five seconds with room for a busy machine.
DEADLINE = 20.0


async def until(condition):
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.sleep(POLL)


def resolve(name):
    return ["192.0.2.1"]


@pytest.fixture
async def watched(tmp_path):
    """A reloader over one blocklist file, and the policy that it keeps."""
    file = tmp_path / "block.txt"
    file.write_text("1.0.0.0/8\n")
    settings = ListSettings(blocklist_file=(str(file),), poll=POLL)
    results = []
    policy = Policy()
    reloader = Reloader(settings, resolve, policy.update, on_result=results.append)
    policy.update(read_lists(settings, resolve))
    reloader.start()
    yield file, policy, reloader, results
    await reloader.close()


async def test_change_in_place(watched):
    file, policy, reloader, results = watched
    assert policy.blocked("1.1.1.1")
    file.write_text("2.0.0.0/8\n3.0.0.0/8\n")
    await until(lambda: policy.blocked("3.1.1.1"))
    assert not policy.blocked("1.1.1.1")
    assert (reloader.reloads, reloader.failures, results) == (1, 0, [True])


async def test_change_by_rename(watched):
    file, policy, reloader, results = watched
    other = file.with_suffix(".new")
    other.write_text("2.0.0.0/8\n")
    os.utime(other, ns=(0, file.stat().st_mtime_ns))
    other.rename(file)
    await until(lambda: policy.blocked("2.1.1.1"))
    assert not policy.blocked("1.1.1.1")
    assert (reloader.reloads, reloader.failures, results) == (1, 0, [True])


async def test_a_file_that_never_rests_is_read_all_the_same(watched):
    file, policy, reloader, _ = watched
    written = 0
    async with asyncio.timeout(DEADLINE):
        while not policy.blocked("2.1.1.1"):
            written += 1
            file.write_text("2.0.0.0/8\n" + "# more\n" * written)
            await asyncio.sleep(POLL / 4)
    assert not policy.blocked("1.1.1.1")
    assert (reloader.reloads > 0, reloader.failures) == (True, 0)


async def test_a_failing_reload_keeps_the_old_lists(watched, caplog):
    file, policy, reloader, results = watched
    caplog.set_level(logging.INFO, "longline.core.reload")
    file.write_text("1.0.0.0/8\nnot an address\n")
    await until(lambda: reloader.failures)
    assert policy.blocked("1.1.1.1")
    assert f"{file}:2: 'not an address'" in caplog.text
    file.unlink()
    await until(lambda: reloader.failures == 2)
    assert policy.blocked("1.1.1.1")
    assert "No such file" in caplog.text
    file.write_text("2.0.0.0/8\n")
    await until(lambda: reloader.reloads)
    assert policy.blocked("2.1.1.1")
    assert not policy.blocked("1.1.1.1")
    assert results == [False, False, True]
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 2


async def test_sighup_reads_again(watched):
    _, policy, reloader, results = watched
    os.kill(os.getpid(), signal.SIGHUP)
    await until(lambda: reloader.reloads == 1)
    assert (reloader.failures, results) == (0, [True])
    assert policy.blocked("1.1.1.1")


async def test_sighup_without_files_does_not_kill():
    reloader = Reloader(ListSettings(), resolve, Policy().update)
    reloader.start()
    os.kill(os.getpid(), signal.SIGHUP)
    await asyncio.sleep(0)
    await reloader.close()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
    assert (reloader.reloads, reloader.failures) == (0, 0)


async def test_names_are_resolved_again(tmp_path):
    file = tmp_path / "block.txt"
    file.write_text("a.example\n")
    answers = iter(["192.0.2.1", "192.0.2.2"])
    last = []

    def moving(name):
        last[:] = [next(answers, "192.0.2.3")]
        return last

    settings = ListSettings(blocklist_file=(str(file),), poll=POLL)
    policy = Policy(special=False)
    reloader = Reloader(settings, moving, policy.update, names_after=POLL)
    lists = read_lists(settings, moving)
    policy.update(lists)
    assert policy.blocked("192.0.2.1")
    reloader.start(named=lists.named)
    await until(lambda: policy.blocked("192.0.2.3"))
    assert not policy.blocked("192.0.2.1")
    await reloader.close()


async def test_a_fault_in_the_consumer_does_not_end_the_watch(tmp_path, caplog):
    file = tmp_path / "block.txt"
    file.write_text("1.0.0.0/8\n")
    seen: list[Lists] = []

    def apply(lists):
        seen.append(lists)
        if len(seen) == 1:
            raise RuntimeError("first time")

    reloader = Reloader(ListSettings(blocklist_file=(str(file),), poll=POLL), resolve, apply)
    reloader.start()
    reloader.reload()
    await until(lambda: reloader.failures == 1)
    assert "first time" in caplog.text
    reloader.reload()
    await until(lambda: reloader.reloads == 1)
    await reloader.close()


async def test_a_wish_that_comes_as_the_time_is_over_is_not_lost(tmp_path):
    file = tmp_path / "block.txt"
    file.write_text("1.0.0.0/8\n")
    seen = []

    class Late(asyncio.Event):
        """Somebody asks at the very moment at which the watch stops waiting."""

        async def wait(self):
            if not seen:
                self.set()
            raise TimeoutError

    reloader = Reloader(ListSettings(blocklist_file=(str(file),), poll=POLL), resolve, seen.append)
    reloader._wanted = Late()
    watch = asyncio.create_task(reloader._watch())
    await until(lambda: seen)
    watch.cancel()


def test_outside_the_main_thread_files_are_still_watched(tmp_path):
    file = tmp_path / "block.txt"
    file.write_text("1.0.0.0/8\n")
    done = []

    async def watch():
        policy = Policy()
        reloader = Reloader(ListSettings(blocklist_file=(str(file),), poll=POLL), resolve, policy.update)
        reloader.start()
        file.write_text("2.0.0.0/8\n4.0.0.0/8\n")
        await until(lambda: policy.blocked("4.1.1.1"))
        await reloader.close()
        done.append(reloader.reloads)

    thread = threading.Thread(target=lambda: asyncio.run(watch()))
    thread.start()
    thread.join(DEADLINE)
    assert done == [1]


async def test_reload_before_start_and_close_twice():
    reloader = Reloader(ListSettings(), resolve, Policy().update)
    reloader.reload()
    await reloader.close()
    await reloader.close()
    assert reloader.reloads == 0


def test_signature(tmp_path):
    file = tmp_path / "x"
    assert signature(str(file)) is None
    file.write_text("1")
    one = signature(str(file))
    file.write_text("22")
    assert one is not None
    assert signature(str(file)) not in (None, one)
