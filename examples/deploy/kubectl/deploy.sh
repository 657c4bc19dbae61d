#!/bin/sh
# Applies this release and waits until the cluster has rolled it out.
set -eu
umask 077
export KUBECONFIG="$HOME/kubeconfig"
printf '%s\n' "$KUBECONFIG_FILE" >"$KUBECONFIG"
sed "s|@RELEASE@|$GREENROOM_RELEASE|; s|@REPLICAS@|$REPLICAS|; s|@IMAGE@|$GREENROOM_IMAGE_WEB|" app.yaml |
	kubectl --namespace "$NAMESPACE" apply --filename -
exec kubectl --namespace "$NAMESPACE" rollout status deployment/web --timeout 9m
