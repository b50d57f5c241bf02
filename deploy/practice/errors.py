"""Why the practice host refused: a code for programs, a sentence for the operator."""


class PracticeError(Exception):
    """`code` is a key of `deploy.practice.wording.ERRORS`, `message` a plain English sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
