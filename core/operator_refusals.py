"""What the verbs on operators refuse (`core.operators`), each with its sentence and next step."""

from django.utils.translation import gettext_lazy as _

from core import roles
from core.errors import Refusal
from core.models import Operator


class UsernameRefused(Refusal):
    field = "username"
    code = "username_refused"

    def __init__(self) -> None:
        super().__init__(
            _("A username has 1 to 150 letters, digits and the signs @ . + - _, and no spaces.")
        )


class UsernameTaken(Refusal):
    status = 409
    field = "username"
    code = "username_taken"

    def __init__(self, holder: Operator) -> None:
        super().__init__(
            _("There is an operator “%(name)s” already. Choose another name.")
            % {"name": holder.username}
        )


class EmailRefused(Refusal):
    field = "email"
    code = "email_refused"

    def __init__(self) -> None:
        super().__init__(_("This is not an email address. Leave it empty if there is none."))


class EmailTaken(Refusal):
    """One signs in with the address as well: it must lead to one operator."""

    status = 409
    field = "email"
    code = "email_taken"

    def __init__(self, holder: Operator) -> None:
        super().__init__(
            _("“%(name)s” has this address already. Choose another one.")
            % {"name": holder.username}
        )


class RoleUnknown(Refusal):
    field = "role"
    code = "role_unknown"

    def __init__(self) -> None:
        super().__init__(
            _("There is no such role. These are: %(roles)s.")
            % {"roles": ", ".join(role for role, _label in roles.CHOICES)}
        )


class ScopeNeeded(Refusal):
    """The role sees the domains it was given, and none was given."""

    field = "domains"
    code = "domain_missing"

    def __init__(self) -> None:
        super().__init__(_("Choose at least one domain: this role sees nothing else."))


class LastOwner(Refusal):
    """Without an owner nobody could add operators any more."""

    status = 409

    def __init__(self) -> None:
        super().__init__(
            _(
                "This is the last owner who can sign in. Make somebody else an owner first, and "
                "wait until that person has signed in."
            )
        )


class OwnAccount(Refusal):
    """An owner who takes away his own rights cannot give them back."""

    status = 409

    def __init__(self) -> None:
        super().__init__(
            _(
                "Nobody does this to his own account. Ask another owner; your password and second "
                "factors are under Security."
            )
        )


class ChangedMeanwhile(Refusal):
    status = 409

    def __init__(self) -> None:
        super().__init__(
            _(
                "Somebody else changed this operator after you opened the page. Nothing of yours "
                "was saved: look at what it says now, then change it again."
            )
        )


class SwitchedOff(Refusal):
    status = 409

    def __init__(self, row: Operator) -> None:
        super().__init__(
            _("“%(name)s” is switched off. Switch it on first.") % {"name": row.username}
        )
