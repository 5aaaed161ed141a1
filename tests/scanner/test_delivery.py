from __future__ import annotations

import asyncio
import threading

from stages.scanner.delivery import Delivery, Mark
from tests.servers.answers import array, synack


def make(**bounds: int) -> Delivery:
    return Delivery(asyncio.get_running_loop(), **bounds)


async def test_answers_come_in_order_with_the_marks_between() -> None:
    delivery = make()
    delivery.put([synack(port=1)])
    delivery.put(array({"port": 2}, {"port": 3}))
    delivery.mark(7)
    delivery.put([synack(port=4)])
    delivery.close()
    taken = await delivery.take(100)
    assert taken is not None
    assert [answer.port for answer in taken[0]] == [1, 2, 3]
    assert taken[1] == Mark(7)
    taken = await delivery.take(100)
    assert taken is not None
    assert [answer.port for answer in taken[0]] == [4]
    assert taken[1] is None
    assert await delivery.take(100) is None


async def test_a_batch_is_bounded() -> None:
    delivery = make()
    for port in range(10):
        delivery.put([synack(port=port)])
    assert delivery.waiting == 10
    taken = await delivery.take(4)
    assert taken is not None
    assert [answer.port for answer in taken[0]] == [0, 1, 2, 3]
    assert delivery.waiting == 6


async def test_take_waits_for_another_thread() -> None:
    delivery = make()
    task = asyncio.create_task(delivery.take(10))
    await asyncio.sleep(0)
    assert not task.done()
    thread = threading.Thread(target=delivery.put, args=([synack()],))
    thread.start()
    taken = await asyncio.wait_for(task, 10)
    await asyncio.to_thread(thread.join)
    assert taken is not None
    assert len(taken[0]) == 1


async def test_take_is_woken_by_the_end() -> None:
    delivery = make()
    task = asyncio.create_task(delivery.take(10))
    await asyncio.sleep(0)
    delivery.close()
    assert await asyncio.wait_for(task, 10) is None


async def test_sending_pauses_above_the_high_water_and_goes_on_below_the_low_one() -> None:
    delivery = make(high_water=4, low_water=1)
    said: list[str] = []
    delivery.steer(lambda: said.append("pause"), lambda: said.append("resume"))
    for _ in range(6):  # what is on its way still comes in
        delivery.put([synack()])
    await asyncio.sleep(0)
    assert said == ["pause"]
    assert delivery.full
    await delivery.take(4)
    assert said == ["pause"]
    await delivery.take(1)
    assert said == ["pause", "resume"]
    assert not delivery.full


async def test_the_next_engine_is_told_that_it_is_full() -> None:
    delivery = make(high_water=1, low_water=0)
    delivery.put([synack()])
    await asyncio.sleep(0)
    said: list[str] = []
    delivery.steer(lambda: said.append("pause"), lambda: said.append("resume"))
    assert said == ["pause"]


async def test_a_thread_that_outlives_the_loop_is_not_hurt() -> None:
    loop = asyncio.new_event_loop()
    delivery = Delivery(loop)
    loop.close()
    delivery.close()
    delivery.put([synack()])
    assert delivery.waiting == 1
