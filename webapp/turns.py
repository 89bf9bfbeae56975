"""A request's turn to run a model: its time, its engine, its answer. No Flask here."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from webapp.gate import Late
from webapp.loading import Loaded
from webapp.tensors import InferRequest, write_response


@dataclass
class Turn:
    """What a request has while it is its turn. Times are of time.monotonic."""

    loaded: Loaded
    began: float
    deadline: float
    give_back: Callable[[], None]  # lets the next request have its turn
    stage: Callable[[str], AbstractContextManager[None]]  # times a part of it
    broken: Callable[[], None]  # called when the engine will never run again

    def answer(self, asked: InferRequest) -> tuple[bytes, int | None]:
        """Run; the answer's body, and the length of its JSON where binary data follows (else None).

        Raises Late without running when the time is up by now, and what the engine raises.
        """
        if asked.timeout_us is not None:
            self.deadline = min(self.deadline, self.began + asked.timeout_us / 1e6)
        left_s = self.deadline - time.monotonic()
        if left_s <= 0:
            raise Late
        engine = self.loaded.engine
        if engine.batches:
            self.give_back()  # it waits for company now, in the engine's own queue
        with self.stage("infer"):
            try:
                results = engine.run(asked.feeds, left_s)
            finally:
                if engine.broken:
                    self.broken()
        bundle = self.loaded.bundle
        head = {"model_name": bundle.name, "model_version": str(bundle.number)}
        if asked.id:
            head["id"] = asked.id
        with self.stage("encode"):
            return write_response(head, results, asked.outputs)
