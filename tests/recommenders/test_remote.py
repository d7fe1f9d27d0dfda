"""A served model is asked within limits; whose list did not come, or came wrong, is counted and never guessed."""

import threading
import time

import numpy as np
import pytest

from recab_helpers.errors import DataError, NoAnswerError, ParameterError
from recab_helpers.recommenders import RemoteModel, checked_slates, remote
from recab_helpers.references import ModelAddress
from tests.served import lists, served

USERS = np.array([f"u{i:03d}" for i in range(250)])
ITEMS = np.array([f"i{i}" for i in range(20)])
K = 3


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(remote, "PAUSE_S", 0.0)


def model_at(url: str, limit: float = 5.0) -> RemoteModel:
    return RemoteModel(ModelAddress.parse(url), time_limit_s=limit)


def right(users, k):
    return 200, {"predictions": lists(users, k, ITEMS.tolist())}


def test_users_are_asked_for_in_batches_that_run_together_and_come_back_in_order():
    sizes = []
    together = threading.Barrier(3, timeout=5)  # breaks unless all three batches are there at once

    def answer(users, k):
        sizes.append(len(users))
        together.wait()
        own = [
            {"user_id": u, "position": p + 1, "item_id": f"i{(int(u[1:]) + p) % 20}"} for u in users for p in range(k)
        ]
        return 200, {"predictions": own[::-1]}

    with served(answer) as url:
        items, causes = model_at(url).lists(USERS, ITEMS, K)
        assert sorted(sizes) == [50, 100, 100]
        together.reset()
        table = model_at(url).recommend(USERS, K)
    assert causes == {}
    np.testing.assert_array_equal(items, (np.arange(250)[:, None] + np.arange(K)) % 20)
    np.testing.assert_array_equal(checked_slates(table, USERS, ITEMS, K, source="x"), items)


def test_a_passing_error_is_tried_twice_again_and_a_lasting_one_is_not():
    tries = []

    def answer(status):
        def one(users, k):
            tries.append(status)
            return (status, {"message": "Sorry.\nmore"}) if len(tries) < 3 else right(users, k)

        return one

    with served(answer(503)) as url:
        assert model_at(url).lists(USERS[:5], ITEMS, K)[1] == {}
    assert tries == [503] * 3
    tries.clear()
    with served(answer(400)) as url:
        assert model_at(url).lists(USERS[:5], ITEMS, K)[1] == {"answered 400": 5}
        assert tries == [400]
        with pytest.raises(NoAnswerError, match=r"^The model at http://127.0.0.1:\d+ answered 400: Sorry. Look at"):
            model_at(url).recommend(USERS[:5], K)


def test_a_model_that_hangs_is_left_within_its_limit_and_not_waited_for_again_and_again():
    forever, asked = threading.Event(), []

    def answer(users, k):
        asked.append(len(users))
        forever.wait()
        return right(users, k)

    many = np.array([f"u{i:05d}" for i in range(5000)])
    with served(answer) as url:
        start = time.monotonic()
        items, causes = model_at(url, limit=0.1).lists(many, ITEMS, K)
        took = time.monotonic() - start
        forever.set()
    assert took < 5  # fifty batches of three tries would take the more
    assert (items == -1).all()
    assert set(causes) == {"did not answer within 0.1 s", "was given up, since it did not answer again and again"}
    assert sum(causes.values()) == 5000
    assert len(asked) <= 3 * (remote.GIVE_UP + remote.AT_ONCE)


def test_an_answer_that_drips_is_left_within_the_limit_too():
    with served(right, drip_s=0.05) as url:
        start = time.monotonic()
        with pytest.raises(NoAnswerError, match=r"did not answer within 0.2 s") as slow:
            model_at(url, limit=0.2).ask_once(USERS[:2].astype(object), K)
        assert time.monotonic() - start < 2
    assert slow.value.slow


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        (b"<html>busy</html>", "answered without predictions"),
        (b"", "answered without predictions"),
        ([1, 2], "answered without predictions"),
        ({"predictions": 7}, "returned no table"),
        ({"predictions": [["i1", "i2"]]}, "returned no table"),
        ({"predictions": [{"user_id": "u000", "item": "i1"}]}, "returned other columns"),
        (
            {"predictions": [{"user_id": "u000", "position": [1], "item_id": {}}]},
            "returned cells that are neither",
        ),
        ({"predictions": lists(["a stranger"], K, ITEMS.tolist())}, "returned users who were not asked for"),
        ({"predictions": lists(["u000"], K, ["x", "y", "z"])}, "returned items that the catalog lacks"),
        ({"predictions": lists(["u000"], K, ["i1", "i2", "i1"])}, "returned an item twice"),
        ({"predictions": lists(["u000"], 2, ["i1", "i2"])}, "returned too few items"),
    ],
)
def test_rubbish_is_no_list(said, cause):
    with served(lambda users, k: (200, said)) as url:
        items, causes = model_at(url).lists(USERS[:1], ITEMS, K)
        with pytest.raises(DataError):
            checked_slates(model_at(url).recommend(USERS[:1], K), USERS[:1], ITEMS, K, source=url)
    assert (items == -1).all()
    [(found, n)] = causes.items()
    assert found.startswith(cause)
    assert n == 1


def test_only_the_users_whose_lists_are_wrong_go_without():
    def answer(users, k):
        table = lists(users, k, ITEMS.tolist())
        table[0]["item_id"] = "no such item"
        return 200, {"predictions": table[:-1]}

    with served(answer) as url:
        items, causes = model_at(url).lists(USERS[:10], ITEMS, K)
    assert causes == {"returned items that the catalog lacks": 1, "returned too few items": 1}
    assert np.flatnonzero(items[:, 0] < 0).tolist() == [0, 9]
    assert (items[1:9] == [0, 1, 2]).all()


def test_a_model_that_is_gone_is_told_before_a_test_and_counted_in_one():
    with served(right) as url:
        model_at(url).check_there()
    with pytest.raises(NoAnswerError, match=rf"The model at {url} could not be reached \(ConnectionError\)"):
        model_at(url).check_there()
    assert model_at(url).lists(USERS[:7], ITEMS, K)[1] == {"could not be reached": 7}


def test_no_proxy_stands_before_this_machine(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with served(right) as url:
        assert model_at(url).lists(USERS[:2], ITEMS, K)[1] == {}


@pytest.mark.parametrize(
    "text", ["http://", "http://127.0.0.1:99999", "http://[::1", "http://a b", "https://h/x?y=1", "http:/127.0.0.1"]
)
def test_what_is_no_address_of_a_served_model_is_refused(text):
    with pytest.raises(ParameterError, match=r"is no address of a served model; write http://127.0.0.1:5001"):
        ModelAddress.parse(text)


def test_addresses_of_one_served_model_are_equal_and_a_password_is_refused_unseen():
    one = ModelAddress.parse("http://Localhost:5001")
    assert (
        one == ModelAddress.parse("http://localhost:5001/") == ModelAddress.parse("http://localhost:5001/invocations/")
    )
    assert ModelAddress.parse(str(one)) == one
    assert not one.is_version
    with pytest.raises(ParameterError, match="holds a user or password") as refused:
        ModelAddress.parse("http://me:secret@127.0.0.1:5001")
    assert "secret" not in str(refused.value)
