#!/bin/sh
# Names the release that runs on the server; it fails where none does.
set -eu
. ./remote.sh
remote "cd '$FOLDER' && kill -0 \"\$(cat server.pid)\" && cat server.release"
