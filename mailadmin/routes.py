"""The one table of tasks: which queue carries each, and which rows it is due for.

`due` is the dotted path of a module's `due(at) -> QuerySet` of rows that nobody holds and that
want work now; the tick sends one message for each of them. Queues: `sign` (holds the authorities'
keys), `now` (what must be live within a second), `work` (everything else).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Route:
    queue: str
    due: str | None = None


ROUTES: dict[str, Route] = {
    "mailadmin.tick": Route("work"),
    "core.seal_audit": Route("sign", due="core.sealing.unsealed"),
    "ca.sign_order": Route("sign", due="ca.due.orders"),
    "ca.expire_order": Route("work", due="ca.due.orders_not_reached"),
    "ca.erase_parcel": Route("work", due="ca.due.parcels"),
    "ca.sign_batch": Route("sign", due="ca.due.batches"),
    "ca.make_authority": Route("sign", due="ca.due.ceremonies"),
    "ca.sign_list": Route("sign", due="ca.due.lists"),
    "ca.collect_notices": Route("work", due="ca.due.ends_to_tell"),
    "ca.send_notice": Route("work", due="ca.due.notices_to_send"),
    "ca.renew_responder": Route("sign", due="ca.due.responders"),
    "deploy.push_accounts": Route("now", due="deploy.due.pushes"),
    "deploy.carry_out": Route("work", due="deploy.due.rollouts"),
    "deploy.host_job": Route("work", due="deploy.due.jobs"),
    "deploy.erase_mail": Route("work", due="deploy.due.erasures"),
    "deploy.renew_certificate": Route("work", due="deploy.due.renewals"),
    "deploy.look": Route("work", due="deploy.due.looks"),
    "deploy.probe": Route("work", due="deploy.due.probes"),
    "deploy.collect_notices": Route("work", due="deploy.due.troubles_to_tell"),
    "deploy.send_notice": Route("work", due="deploy.due.notices_to_send"),
    "deploy.collect_usage": Route("work", due="deploy.due.uses"),
    "accounts.expire_alias": Route("work", due="accounts.due.aliases_expired"),
    "accounts.expire_app_password": Route("work", due="accounts.due.app_passwords_expired"),
    "accounts.expire": Route("work", due="accounts.due.expired"),
    "accounts.import_accounts": Route("work", due="accounts.due.imports"),
    "accounts.forget_import": Route("work", due="accounts.due.imports_to_forget"),
    "accounts.refresh_flags": Route("work", due="accounts.due.flags"),
    # Asked for after each refresh, and when the policy is switched on.
    "accounts.announce": Route("work"),
    "accounts.carry_out_policy": Route("work", due="accounts.due.announced"),
    "accounts.audit_passwords": Route("work", due="accounts.due.audits"),
    "deploy.place_domain": Route("work", due="deploy.due.domains"),
}
