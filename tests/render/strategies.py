"""What an operator may type, and what nobody should: for the properties here and on real hosts."""

from hypothesis import strategies as st

# Words that mean something to m4, to Sendmail's cf or to Dovecot.
LOADED = [
    "dnl",
    "define",
    "include",
    "shift",
    "eval",
    "divert",
    "undivert",
    "len",
    "index",
    "format",
    "changequote",
    "syscmd",
    "ifdef",
    "unix",
    "linux",
    "feature",
    "mailer",
    "localhost",
    "ssl",
    "listen",
    "no",
    "yes",
    "true",
    "errprint",
    "traceon",
    "sysval",
]

label = st.one_of(
    st.sampled_from(LOADED),
    st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True),
)
fqdn = st.builds(
    lambda labels, last: ".".join([*labels, last]),
    st.lists(label, min_size=1, max_size=4),
    st.sampled_from(["test", "example", "dnl", "xn--kprw13d"]),
)
inet = st.lists(st.ip_addresses(v=4).map(str), min_size=1, max_size=3)
inet6 = st.lists(st.ip_addresses(v=6).map(str).filter(lambda a: a != "::"), max_size=2)
megabytes = st.integers(min_value=1, max_value=2047)

# Text near what is accepted, with everything that ends, quotes or expands thrown in.
hostile = st.text(
    alphabet=st.one_of(
        st.sampled_from("`'\"#$%{}<>\\,;|&()=\t\n\r\0\x85\u2028 .-@:/éü。"),
        st.characters(),
    ),
    max_size=40,
)
near_misses = st.builds(
    lambda good, bad, at: good[: at % (len(good) + 1)] + bad + good[at % (len(good) + 1) :],
    fqdn,
    hostile,
    st.integers(min_value=0),
)

printable = st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=30)
own_value = st.builds(
    lambda first, more: first + "".join(join + part for join, part in more),
    printable,
    st.lists(st.tuples(st.sampled_from([" ", "\t", "\n  ", "\n# x\n\t"]), printable), max_size=4),
)
"""What an own setting of main.cf is set to, on one line or on several with a comment between."""

plain = st.text(alphabet="abcXYZ019 .,:;!?()[]/+-_*@&=|~^", max_size=40).map(str.strip).filter(bool)
"""Words without the signs that m4 or Dovecot give a meaning."""
