"""A model behind HTTP, as `mlflow models serve` serves it: asked in batches, several at once, with limits of time.

`recommend` refuses what is wrong, as for any foreign model; `lists` serves on, and says whose list did not come. User
ids leave this process for the address that was named, and for no other.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import requests
import urllib3

from recab_helpers.errors import NoAnswerError
from recab_helpers.recommenders.checked import as_table, slates_and_faults
from recab_helpers.references import ModelAddress

BATCH = 100  # users of one request
AT_ONCE = 4  # requests
RETRIES, PAUSE_S = 2, 0.2  # the pause doubles
TIME_LIMIT_S = 10.0
GIVE_UP = 4  # batches in a row without an answer: what is gone is not waited for any longer
LARGEST_ANSWER, PIECE = 200_000_000, 65_536  # bytes
PASSING = (408, 425, 429, 500, 502, 503, 504)  # status codes that may be others at the next try
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class RemoteModel:
    """A recommender that answers POST /invocations, by MLflow's protocol: user_id, and k as a parameter."""

    address: ModelAddress
    time_limit_s: float = TIME_LIMIT_S  # of one request
    catalog: str = ""  # digest of its catalog; a server does not tell
    session: requests.Session = field(default_factory=requests.Session, repr=False, compare=False)

    def __post_init__(self):
        self.session.trust_env = urlsplit(self.address.url).hostname not in LOOPBACK  # no proxy stands before this host
        self.session.mount(self.address.url, requests.adapters.HTTPAdapter(pool_maxsize=AT_ONCE))

    def recommend(self, user_ids: Sequence[str] | np.ndarray, k: int) -> Any:
        """What the model returns for these users, unchecked; it should be the recommendations table.

        Raises:
            NoAnswerError: a batch of users had no answer, after all tries.
        """
        answers = [answer for _, answer in self._answers(np.asarray(user_ids, dtype=object), k)]
        for answer in answers:
            if isinstance(answer, NoAnswerError):
                raise answer
        tables = all(isinstance(answer, pd.DataFrame) for answer in answers)
        return pd.concat(answers, ignore_index=True) if tables else answers[0]

    def lists(self, user_ids: np.ndarray, item_ids: np.ndarray, k: int) -> tuple[np.ndarray, dict[str, int]]:
        """Item codes of k items a user, (len(user_ids), k), -1 where no right list came; and for how many, by cause."""
        items = np.full((len(user_ids), k), -1, dtype=np.int32)
        causes: Counter[str] = Counter()
        for batch, answer in self._answers(np.asarray(user_ids, dtype=object), k):
            asked = user_ids[batch]
            if isinstance(answer, NoAnswerError):
                causes[answer.kind] += len(asked)
                continue
            items[batch], faults = slates_and_faults(answer, asked, item_ids, k)
            causes.update({fault.kind: int(fault.users.sum()) for fault in faults})
        return items, dict(causes)

    def ask_once(self, user_ids: np.ndarray, k: int) -> Any:
        """The answer to one request, tried once: a table where it is one, else as it came.

        Raises:
            NoAnswerError: there is none; `slow` where it did not come within the limit.
        """
        users = {"columns": ["user_id"], "data": user_ids[:, None].tolist()}
        status, content = self._post({"dataframe_split": users, "params": {"k": int(k)}})
        try:
            answer = json.loads(content)
        except ValueError:
            answer = None
        if status != requests.codes.ok:
            said = str(answer.get("message", "")) if isinstance(answer, dict) else ""
            more = "".join(f": {line}" for line in said.strip().splitlines()[:1]).removesuffix(".")
            raise self._none(f"answered {status}", more, passing=status in PASSING)
        if not isinstance(answer, dict) or "predictions" not in answer:
            raise self._none("answered without predictions")
        return as_table(answer["predictions"])

    def check_there(self) -> None:
        """Ask for nobody, to know whether anything is served here.

        Raises:
            NoAnswerError: nothing is.
        """
        try:
            self._post({})
        except NoAnswerError as error:
            if not error.slow:
                raise

    def _none(self, kind: str, more: str = "", **why: bool) -> NoAnswerError:
        said = f"The model at {self.address} {kind}{more}. Look at its log, or start it anew: make serve."
        return NoAnswerError(said, kind, **why)

    def _answers(self, user_ids: np.ndarray, k: int) -> Iterator[tuple[slice, Any]]:
        """Every batch of users with its answer, or the NoAnswerError in its place; in order."""
        failed = 0

        def ask(batch: slice) -> Any:
            nonlocal failed
            if failed >= GIVE_UP:
                return self._none("was given up, since it did not answer again and again")
            try:
                answer = self._ask(user_ids[batch], k)
            except NoAnswerError as error:
                failed += 1
                return error
            failed = 0
            return answer

        batches = [slice(start, start + BATCH) for start in range(0, len(user_ids), BATCH)]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            yield from zip(batches, pool.map(ask, batches), strict=True)

    def _ask(self, user_ids: np.ndarray, k: int) -> Any:
        for again in range(RETRIES):
            try:
                return self.ask_once(user_ids, k)
            except NoAnswerError as error:
                if not error.passing:
                    raise
                time.sleep(PAUSE_S * 2**again)
        return self.ask_once(user_ids, k)

    def _post(self, body: dict[str, Any]) -> tuple[int, bytes]:
        """Status and content of the answer, all of it within the limit, however slowly it drips."""
        end, content = time.monotonic() + self.time_limit_s, bytearray()
        url, limit = f"{self.address.url}/invocations", self.time_limit_s
        try:
            with self.session.post(url, json=body, timeout=limit, stream=True, allow_redirects=False) as response:
                while part := response.raw.read1(PIECE, decode_content=True):
                    content += part
                    if time.monotonic() > end:
                        raise TimeoutError
                    if len(content) > LARGEST_ANSWER:
                        raise self._none(f"answered with more than {LARGEST_ANSWER / 1e6:g} MB")
            return response.status_code, bytes(content)
        except (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError) as error:
            raise self._none(f"did not answer within {limit:g} s", passing=True, slow=True) from error
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise self._none("could not be reached", f" ({type(error).__name__})", passing=True) from error
