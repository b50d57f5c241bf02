"""What every verb of this app may refuse with. Those of one verb alone are beside that verb."""

from collections.abc import Sequence

from django.utils.translation import gettext_lazy as _

from accounts import addresses
from accounts.addresses import Reason
from accounts.sentences import say_all
from core.errors import Refusal


class ReasonsRefusal(Refusal):
    """A refusal with one sentence a reason; `field` names the form field they are about."""

    field = ""

    def __init__(self, reasons: Sequence[Reason]) -> None:
        super().__init__("")
        self.reasons = tuple(reasons)

    @property
    def codes(self) -> list[str]:
        return [reason.code for reason in self.reasons]

    @property
    def sentences(self) -> list[str]:
        return say_all(self.reasons)

    @property
    def sentence(self) -> str:
        return " ".join(self.sentences)


class SeveralRefused(Refusal):
    """More than one thing is wrong: `refusals` holds them all."""

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        super().__init__(" ".join(refusal.sentence for refusal in refusals))
        self.refusals = tuple(refusals)


class TextRefused(Refusal):
    """A control character in words that somebody typed: it would break a list, a log or a terminal,
    and a database may not take it."""

    def __init__(self, field: str) -> None:
        super().__init__(
            _("There is a control character in these words: type them anew, do not paste them.")
        )
        self.field = field


class AddressRefused(ReasonsRefusal):
    """The name before the @ is not one that this console makes."""

    field = "local_part"


class DomainRefused(ReasonsRefusal):
    field = "name"


class TargetRefused(ReasonsRefusal):
    """`target` is the address as it was typed, so that the operator finds it in a long list."""

    field = "targets"

    def __init__(self, target: str, reasons: Sequence[Reason]) -> None:
        super().__init__(reasons)
        self.target = target

    @property
    def sentences(self) -> list[str]:
        return [f"{self.target[:80]}: {sentence}" for sentence in super().sentences]


class AddressTaken(Refusal):
    """Another mailbox or alias has the address. `holder` is a key of SENTENCES."""

    status = 409
    field = "local_part"

    SENTENCES = {
        "mailbox": _("There is a mailbox %(address)s already."),
        "alias": _("There is an alias %(address)s already. Delete it first."),
        "erased": _(
            "%(address)s was erased and is not handed on: mail meant for its former owner would "
            "reach the new one."
        ),
        "erasing": _(
            "%(address)s was erased, and its mail is not deleted from its host yet. Try again when "
            "it is."
        ),
    }

    def __init__(self, address: str, holder: str) -> None:
        shown = addresses.unicode_address(address)
        super().__init__(self.SENTENCES[holder] % {"address": shown})
        self.address = address
        self.holder = holder


class PasswordAndInvitation(Refusal):
    field = "password"

    def __init__(self) -> None:
        super().__init__(_("Give a password, or let the owner set it by an invitation: not both."))


class DomainGone(Refusal):
    """Somebody removed the domain meanwhile."""

    status = 409
    field = "domain"

    def __init__(self, name: str) -> None:
        shown = addresses.unicode_domain(name)
        super().__init__(_("The domain %(name)s was removed meanwhile.") % {"name": shown})


class NotInState(Refusal):
    """The mailbox is not in a state that the verb starts from: somebody was faster, perhaps."""

    status = 409


class EditedMeanwhile(Refusal):
    """Somebody else saved the account since this operator opened it."""

    status = 409
    SENTENCE = _(
        "Somebody else changed this account after you opened it. Nothing of yours was "
        "saved: look at what it says now, then change it again."
    )

    def __init__(self) -> None:
        super().__init__(self.SENTENCE)
