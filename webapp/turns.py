"""A request's turn to run a model: its time, its engine, its answer. No Flask here."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from webapp.engines.base import Arrays
from webapp.gate import Late
from webapp.loading import Loaded
from webapp.metrics import timed
from webapp.tensors import InferRequest, write_response


@dataclass
class Turn:
    """What a request has while it is its turn. Times are of time.monotonic."""

    loaded: Loaded
    began: float
    deadline: float
    give_back: Callable[[], None]  # lets the next request have its turn
    stages: dict[str, float]  # what its parts took so far, in seconds
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
        results = self.outputs(asked, left_s)
        bundle = self.loaded.bundle
        head = {"model_name": bundle.name, "model_version": str(bundle.number)}
        if asked.id:
            head["id"] = asked.id
        with timed("encode", self.stages):
            return write_response(head, results, asked.outputs)

    def outputs(self, asked: InferRequest, left_s: float) -> Arrays:
        """All outputs by name; what it waited in the engine's own queue counts as waiting."""
        engine, began = self.loaded.engine, time.monotonic()
        try:
            if not engine.batches:
                return engine.run(asked.feeds, left_s)
            self.give_back()
            place = {} if asked.place is None else {"place": asked.place}
            results, waited_s = engine.ask(asked.feeds, self.deadline, **place)
            self.stages["queue"] = self.stages.get("queue", 0.0) + waited_s
            began += waited_s
            return results
        finally:
            self.stages["infer"] = time.monotonic() - began
            if engine.broken:
                self.broken()
