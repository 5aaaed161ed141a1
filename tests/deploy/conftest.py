"""The town of the integration tests, with its broker and database, for containers and manifests too."""

from tests.integration.conftest import (  # noqa: F401  (fixtures)
    crew,
    log,
    name,
    store,
    town,
    town_kafka,
    town_mongo,
)
