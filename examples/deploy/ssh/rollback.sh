#!/bin/sh
# Makes a release live that is on the server already.
set -eu
. ./remote.sh
remote "set -e
	cd '$FOLDER'
	[ -d 'releases/$GREENROOM_RELEASE' ] || { echo '$GREENROOM_RELEASE is not on the server' >&2; exit 1; }
	ln -sfn 'releases/$GREENROOM_RELEASE' next
	mv -T next current
	GREENROOM_RELEASE='$GREENROOM_RELEASE' ADDR='$ADDR' ./current/restart"
