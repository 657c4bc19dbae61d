#!/bin/sh
# Takes the containers away, and keeps their volumes.
set -eu
exec docker compose --project-name "$GREENROOM_APP-$GREENROOM_ENVIRONMENT" down
