#!/bin/sh
# Names the release of the containers that run, where all are of one.
set -eu
found=$(docker ps --filter "label=com.docker.compose.project=$GREENROOM_APP-$GREENROOM_ENVIRONMENT" --filter label=com.docker.compose.service=web \
	--format '{{.Label "release"}}' | sort -u)
case $(printf '%s' "$found" | grep -c .) in
1) echo "$found" ;;
0) echo "no container of web runs" && exit 1 ;;
*) echo "containers of several releases run:" $found "(all of them)" && exit 1 ;;
esac
