"""Password hashes as Dovecot reads them: `{ARGON2ID}$argon2id$v=19$m=19456,t=2,p=1$salt$hash`.

OWASP's parameters for a server with many logins: 19 MiB, two passes, one lane, 26 ms on one core.
What is hashed is the NFC form, because that is what mail programs send. Call this outside of
transactions: a writer that hashes inside one makes every other writer wait.
"""

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from accounts.passwords import normalized

SCHEME = "{ARGON2ID}"
# For random secrets of 120 bits: no cost of a guess makes those harder to find, and programs that
# keep no session open log in all day.
_quick = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


def hash_password(password: str) -> str:
    return SCHEME + _hasher.hash(normalized(password))


def hash_secret(secret: str) -> str:
    """For a secret that was made, never for a password that somebody chose."""
    return SCHEME + _quick.hash(secret)


def matches(stored: str, password: str) -> bool:
    """Whether `password` is the one of the hash; False for a hash of another scheme."""
    try:
        return _hasher.verify(stored.removeprefix(SCHEME), normalized(password))
    except (VerificationError, InvalidHashError):
        return False
