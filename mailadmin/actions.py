"""What audit events are called on the page.

An action's code (`accounts.mailbox.suspended`) is stable and in the log; its words are here. A test
fails when a verb records an action that has no words.
"""

from dataclasses import dataclass

from django.utils.translation import gettext_lazy as _

from core.models import AuditEvent

WORDS = {
    "accounts.alias.created": _("Alias made"),
    "accounts.alias.deleted": _("Alias removed"),
    "accounts.alias.edited": _("Alias changed"),
    "accounts.alias.expired": _("Alias removed when its time was over"),
    "accounts.app_password.expired": _("App password's time is over"),
    "accounts.app_password.made": _("App password made"),
    "accounts.app_password.revoked": _("App password revoked"),
    "accounts.audit.done": _("Audit of passwords done"),
    "accounts.audit.started": _("Audit of passwords started"),
    "accounts.audit.stopped": _("Audit of passwords stopped by somebody"),
    "accounts.domain.assigned": _("Domain given to a host"),
    "accounts.domain.created": _("Domain added"),
    "accounts.domain.edited": _("Domain changed"),
    "accounts.domain.removed": _("Domain removed"),
    "accounts.flag.exempted": _("Flag of a mailbox set aside"),
    "accounts.flag.unexempted": _("Flag of a mailbox counts again"),
    "accounts.import.cancelled": _("Import of accounts stopped by somebody"),
    "accounts.import.done": _("Import of accounts done"),
    "accounts.import.requested": _("Import of accounts asked for"),
    "accounts.import.stopped": _("Import of accounts ended early"),
    "accounts.invitation.accepted": _("Owner set the password by invitation"),
    "accounts.invitation.made": _("Owner of a mailbox invited"),
    "accounts.invitation.withdrawn": _("Invitation withdrawn"),
    "accounts.mailbox.closed": _("Mailbox closed"),
    "accounts.mailbox.closed_many": _("Several mailboxes closed"),
    "accounts.mailbox.created": _("Mailbox made"),
    "accounts.mailbox.edited": _("Mailbox changed"),
    "accounts.mailbox.erased": _("Mailbox erased"),
    "accounts.mailbox.expiry_set": _("End of a temporary mailbox changed"),
    "accounts.mailbox.password_set": _("Mailbox password set"),
    "accounts.mailbox.reopened": _("Mailbox opened again"),
    "accounts.mailbox.resumed": _("Mailbox resumed"),
    "accounts.mailbox.resumed_many": _("Several mailboxes resumed"),
    "accounts.mailbox.suspended": _("Mailbox suspended"),
    "accounts.mailbox.suspended_many": _("Several mailboxes suspended"),
    "accounts.policy.announced": _("Suspension announced by the policy"),
    "accounts.policy.set": _("Policy of suspending flagged accounts changed"),
    "ca.authority.imported": _("Authority taken over from elsewhere"),
    "ca.authority.made": _("Authority made"),
    "ca.authority.reinstated": _("Authority signs again"),
    "ca.authority.reissued": _("Root's certificate signed anew"),
    "ca.authority.requested": _("Authority's key made for a root elsewhere"),
    "ca.authority.retired": _("Authority retired"),
    "ca.authority.withdrawn": _("Authority's waiting key erased"),
    "ca.batch.done": _("Batch of certificates signed"),
    "ca.batch.refused": _("Batch of certificates refused"),
    "ca.batch.requested": _("Batch of certificates asked for"),
    "ca.ceremony.refused": _("Use of the root refused"),
    "ca.ceremony.requested": _("Use of the root asked for"),
    "ca.certificate.bundled": _("Certificate handed out with its key"),
    "ca.certificate.issued": _("Certificate issued"),
    "ca.certificate.held": _("Certificate put on hold"),
    "ca.certificate.held_many": _("Several certificates put on hold"),
    "ca.certificate.released_many": _("Several certificates taken off hold"),
    "ca.certificate.revoked_many": _("Several certificates revoked"),
    "ca.certificate.released": _("Certificate taken off hold"),
    "ca.certificate.revoked": _("Certificate revoked"),
    "ca.certificate.served": _("Certificate seen in use"),
    "ca.certificate.superseded": _("Certificate replaced"),
    "ca.certificates.imported": _("Certificates from elsewhere taken over"),
    "ca.import.refused": _("Import of an authority refused"),
    "ca.list.signed": _("Revocation list signed"),
    "ca.notice.test_requested": _("Test mail asked for"),
    "ca.order.csr_submitted": _("Certificate request handed in"),
    "ca.order.refused": _("Certificate refused"),
    "ca.request.refused": _("Request for a certificate refused"),
    "ca.order.requested": _("Certificate asked for"),
    "ca.parcel.erased": _("Key that nobody fetched erased"),
    "ca.parcel.made": _("Key made by the signer"),
    "ca.parcel.taken": _("Key downloaded and erased"),
    "ca.responder.renewed": _("OCSP responder has a new key"),
    "ca.profile.copied": _("Profile copied"),
    "ca.profile.edited": _("Profile of certificates changed"),
    "ca.profile.reinstated": _("Profile taken into use again"),
    "ca.profile.retired": _("Profile retired"),
    "core.operator.added": _("Operator added"),
    "core.operator.changed": _("Profile changed"),
    "core.operator.edited": _("Operator changed"),
    "core.operator.joined": _("New operator set a password"),
    "core.operator.link_made": _("Link to sign in made for an operator"),
    "core.operator.restored": _("Access restored"),
    "core.operator.second_factors_reset": _("Second factors removed"),
    "core.operator.signed_in": _("Signed in"),
    "core.operator.switched_off": _("Operator switched off"),
    "core.operator.switched_on": _("Operator switched on"),
    "core.owner.created": _("Owner made"),
    "core.token.created": _("API token made"),
    "core.token.revoked": _("API token revoked"),
    "deploy.accounts.forced": _("Accounts sent in spite of a warning"),
    "deploy.certificate.chosen": _("Certificate chosen for a host"),
    "deploy.certificate.requested": _("Host certificate asked for"),
    "deploy.drift.left": _("File changed on a host left as it is"),
    "deploy.drift.taken_over": _("Changes made on a host taken over into its own lines"),
    "deploy.host.added": _("Host added"),
    "deploy.host.changed": _("Host settings changed"),
    "deploy.host.key_pinned": _("Host key confirmed"),
    "deploy.host.mta_changed": _("Host's mail server changed"),
    "deploy.host.ready": _("Host ready"),
    "deploy.host.release_requested": _("Host to be given back to what was there before"),
    "deploy.host.released": _("Host given back to what was there before"),
    "deploy.host.removed": _("Host removed"),
    "deploy.host.snippets_changed": _("Own lines of a host changed"),
    "deploy.mail.erased": _("Erased mailbox's mail deleted"),
    "deploy.practice.requested": _("Practice host asked for"),
    "deploy.probes.failed": _("Probes of a host failed"),
    "deploy.probes.well": _("Probes of a host well again"),
    "deploy.rollout.cancelled": _("Rollout called off"),
    "deploy.rollout.requested": _("Put live"),
    "deploy.rollout.stopped": _("Rollout stopped after a failure"),
}

ICONS = {"accounts": "users", "ca": "certificate", "deploy": "server-2", "core": "settings"}


@dataclass(frozen=True)
class Described:
    event: AuditEvent
    words: str
    icon: str


def described(event: AuditEvent) -> Described:
    area = event.action.partition(".")[0]
    words = str(WORDS.get(event.action, event.action))
    return Described(event, words, ICONS.get(area, "activity"))
