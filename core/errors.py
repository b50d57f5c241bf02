"""What every refusal of the console has in common: a sentence fit for the operator.

A verb's module defines its own exceptions below `Refusal`; views show `sentence` where the operator
is looking, the API returns it as RFC 9457 problem details with `status`.
"""


class Refusal(Exception):
    """Something was asked for that will not be done, and nothing was changed.

    `sentence` says why and what to do next, in the operator's language; it may be lazy.
    """

    status = 422

    def __init__(self, sentence: object, *, status: int | None = None) -> None:
        super().__init__(sentence)
        self._sentence = sentence
        if status is not None:
            self.status = status

    @property
    def sentence(self) -> str:
        return str(self._sentence)

    def __str__(self) -> str:
        return self.sentence
