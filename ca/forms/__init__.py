"""Forms of the certificates' pages: they read what was typed; `ca`'s verbs judge it."""
