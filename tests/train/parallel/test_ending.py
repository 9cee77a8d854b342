"""Of several processes with an error, one tells it."""

from __future__ import annotations

import signal

import pytest

from swift.errors import DataError, TrainingError
from swift.train.parallel.ending import PeerLost, told_once
from swift.train.parallel.place import Place
from swift.train.stop import Interrupted, elected, votes

FIRST, SECOND = Place(0, 2, 0, 2), Place(1, 2, 1, 2)


@pytest.mark.parametrize("place", [FIRST, SECOND])
def test_the_first_to_claim_tells(place: Place) -> None:
    with pytest.raises(DataError, match="bad row"), told_once(place, lambda: True, linger=0):
        raise DataError("bad row")


@pytest.mark.parametrize(("error", "code"), [(DataError("bad row"), 2), (ZeroDivisionError(), 1)])
def test_the_others_end_in_silence_with_the_same_code(error: Exception, code: int) -> None:
    with pytest.raises(SystemExit) as stop, told_once(FIRST, lambda: False, linger=0):
        raise error
    assert stop.value.code == code


def test_a_lost_connection_is_told_only_where_nobody_ended_us() -> None:
    lost = pytest.raises(TrainingError, match="process 1 of 2 lost the connection")
    with lost, told_once(SECOND, lambda: True, linger=0):
        raise PeerLost("closed by peer")
    with pytest.raises(SystemExit) as stop, told_once(SECOND, lambda: False, linger=0):
        raise PeerLost("closed by peer")
    assert stop.value.code == 2


def test_interrupts_come_out_of_the_first_process() -> None:
    for place in (FIRST, SECOND):
        with pytest.raises(Interrupted), told_once(place, lambda: True, linger=0):
            raise Interrupted(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), told_once(FIRST, lambda: True, linger=0):
        raise KeyboardInterrupt
    with pytest.raises(SystemExit) as stop, told_once(SECOND, lambda: True, linger=0):
        raise KeyboardInterrupt
    assert stop.value.code == 130


def test_nothing_happens_without_an_error() -> None:
    with told_once(SECOND, lambda: pytest.fail("nothing to tell"), linger=0):
        pass


def test_any_process_can_stop_all() -> None:
    quiet, asked = votes(None), votes(signal.SIGINT)
    assert elected(quiet) is None
    assert elected([a + b for a, b in zip(quiet, asked, strict=True)]) == signal.SIGINT
    both = [a + b for a, b in zip(asked, votes(signal.SIGTERM), strict=True)]
    assert elected(both) == signal.SIGTERM
