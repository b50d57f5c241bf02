"""Why the practice host could not do something: a code for programs, a sentence for the operator."""


class PracticeError(Exception):
    """`code` is one of `deploy.practice.wording.ERRORS`, `message` one plain English sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
