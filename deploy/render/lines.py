"""Values into lines: refuse what the target's grammar cannot carry."""

from __future__ import annotations


class CannotRender(ValueError):
    """A value that the daemon could not read back as it was given.

    `setting` is the field's name, `problem` a code the console translates, `detail` what was found.
    `str()` is one plain English sentence.
    """

    def __init__(self, setting: str, problem: str, sentence: str, detail: str = "") -> None:
        super().__init__(sentence)
        self.setting = setting
        self.problem = problem
        self.detail = detail
