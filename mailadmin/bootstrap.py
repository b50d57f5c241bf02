"""What a start does to the database before anything serves pages."""

import traceback

from django.core.management import call_command
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from core import setup


def bootstrap(*, migrates: bool) -> dict[str, str]:
    """Migrations, the cache's table, the first owner's link: {"setup": path} while there is no
    owner, {"refused": sentence} when it cannot be."""
    try:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            if not migrates:
                return {
                    "refused": "The database is older than this program. Start the machine "
                    "with the web process first: it brings it up to date."
                }
            call_command("migrate", interactive=False, verbosity=0)
        call_command("createcachetable", verbosity=0)
        if migrates and not setup.owner_exists():
            return {"setup": setup.new_link(at=timezone.now())}
        return {}
    except DatabaseError as error:
        traceback.print_exc()
        return {"refused": f"The database cannot be used: {str(error).strip()}"}
    finally:
        connection.close()
