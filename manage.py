#!/usr/bin/env python3
"""Django's command line for the console: `./run manage …` passes on to it."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mailadmin.settings")
    from mailadmin import privileges

    privileges.enter(sys.argv)
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
