#!/bin/sh
# Copies this release to the server, beside those before it, and makes it the one that is live. Copied twice it is copied once.
set -eu
. ./remote.sh
to="$FOLDER/releases/$GREENROOM_RELEASE"
tar -C app -cf - . | remote "set -e; rm -rf '$to.new' '$to'; mkdir -p '$to.new'; tar -C '$to.new' -xf -; mv '$to.new' '$to'"
exec ./rollback.sh
