#!/bin/sh
# Starts this release's containers in the place of those before, and returns when they are healthy.
set -eu
exec docker compose --project-name "$GREENROOM_APP-$GREENROOM_ENVIRONMENT" up --detach --wait --remove-orphans
