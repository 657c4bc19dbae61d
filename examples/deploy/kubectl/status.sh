#!/bin/sh
# Names the release that the cluster has rolled out; it fails while a rollout goes on, or hangs.
set -eu
umask 077
export KUBECONFIG="$HOME/kubeconfig"
printf '%s\n' "$KUBECONFIG_FILE" >"$KUBECONFIG"
kubectl --namespace "$NAMESPACE" rollout status deployment/web --timeout 10s >/dev/null
kubectl --namespace "$NAMESPACE" get deployment web --output 'jsonpath={.metadata.labels.release}'
