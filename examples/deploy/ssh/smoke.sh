#!/bin/sh
# What a user does. A real journey logs in, puts something into the basket and pays.
set -eu
exec curl --silent --show-error --fail --max-time 10 "$APP_URL/"
